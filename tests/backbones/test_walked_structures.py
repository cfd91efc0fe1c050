"""The structures that property tests walk are those of all registered backbones."""

import pytest
import torch
from backbone_structures import named_cases, structure_of, structure_of_case, walked

from pppl.backbones import BACKBONES, build, spec_for


def test_every_registered_name_has_a_structure_that_is_walked():
    cases = named_cases()
    assert {name for name, *_ in cases} == set(BACKBONES)
    there = {structure_of_case(case) for case in walked(cases)}
    for case in cases:
        assert structure_of_case(case) in there, case
    assert len(there) == len(walked(cases)) < len(cases) / 2


@pytest.mark.parametrize(
    ("name", "options", "alike"),
    [
        ("resnet110", {"width": 4}, True),
        ("resnet20", {"width": 7}, True),
        ("resnet20", {"width": 4, "index_add": True}, False),
        ("resnet18", {"width": 4}, False),
        ("convnet", {}, False),
    ],
)
def test_depth_and_width_are_no_structure_and_layers_are(name: str, options: dict, alike: bool):
    with torch.device("meta"):
        one, other = (build(spec_for(*each, (3, 8, 8), 4)) for each in (("resnet20", {"width": 4}), (name, options)))
    assert (structure_of(one) == structure_of(other)) == alike


def test_series_and_images_are_told_apart():
    with torch.device("meta"):
        one, other = (build(spec_for("convnet", {}, shape, 4)) for shape in ((2, 13), (2, 13, 9)))
    assert structure_of(one) != structure_of(other)


def test_a_kernel_a_dilation_and_a_depthwise_convolution_are_told_apart():
    with torch.device("meta"):
        network = build(spec_for("resnet20", {"width": 4}, (3, 8, 8), 4))
        seen = {structure_of(network)}
        first = network.get_submodule(network.groups[0].producer)
        assert isinstance(first, torch.nn.Conv2d)
        for changes in ({"kernel_size": (1, 1)}, {"dilation": (2, 2)}, {"groups": 2}):
            before = {name: getattr(first, name) for name in changes}
            for name, value in changes.items():
                setattr(first, name, value)
            seen.add(structure_of(network))
            for name, value in before.items():
                setattr(first, name, value)
    assert len(seen) == 4
