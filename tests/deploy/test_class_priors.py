"""The person's class prior in every form of a personal network: ONNX, the personal file, the thin form."""

from pathlib import Path

import numpy as np
import pytest
import torch
from small_backbones import small

from pppl.backbones import NEVER, Backbone, build, correct_logits, outputs_of, slice_network, spec_for
from pppl.data.preprocessing import Preprocessing
from pppl.deploy import Deployed, PersonalFile, Thin, open_onnx, read_personal
from pppl.deploy.formats import to_onnx
from pppl.system.errors import UserError

ADDED = torch.tensor([0.7, NEVER, 0.7, NEVER])
NAMES = ("tc_resnet8", "resnet20")  # a classifier without biases, and one with


def _network(name: str) -> tuple[Backbone, tuple[int, ...]]:
    options, shape = small(name)
    torch.manual_seed(0)
    return build(spec_for(name, options, shape, 4)).eval(), shape


def _masks(network: Backbone) -> list[torch.Tensor]:
    return [torch.arange(width) < (width + 1) // 2 for width in network.widths]


def _made(name: str, cut: bool) -> tuple[Backbone, Backbone, Preprocessing]:
    """The full network, the corrected half of it, and what feeds both."""
    full, shape = _network(name)
    preprocessing = Preprocessing(classes=("a", "b", "c", "d"), shape=shape, gain=(0.5,), bias=(0.1,))
    return full, correct_logits(slice_network(full, _masks(full)), ADDED, cut=cut), preprocessing


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_onnx_gives_what_torch_gives(name: str, cut: bool, tmp_path: Path):
    _, personal, preprocessing = _made(name, cut)
    deployed = Deployed(personal, preprocessing)
    (tmp_path / "own.onnx").write_bytes(to_onnx(deployed, {}))
    x = torch.randn(5, *preprocessing.shape)
    logits = open_onnx(tmp_path / "own.onnx")(x.numpy())
    with torch.inference_mode():
        expected = deployed(x)
    assert logits.shape == (5, 2 if cut else 4)
    np.testing.assert_allclose(logits, expected.numpy(), atol=1e-4, rtol=1e-6)
    assert set(np.array(outputs_of(personal))[logits.argmax(1)]) <= {0, 2}, "the others are never answered"


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_files_give_back_the_corrected_network(name: str, cut: bool, tmp_path: Path):
    full, personal, preprocessing = _made(name, cut)
    PersonalFile(network=personal, full=full.spec, preprocessing=preprocessing, base_sha256="0").write(tmp_path / "p")
    read = read_personal(tmp_path / "p")
    assert read.classes == (("a", "c") if cut else ("a", "b", "c", "d"))
    thin = Thin.of(full, _masks(full), added=ADDED, cut=cut)
    thin.write(tmp_path / "thin")
    assert (tmp_path / "thin").stat().st_size == 76 + -(-sum(full.widths) // 8) + 13 + 4 * 4
    again = Thin.read(tmp_path / "thin").network(full)
    for network in (read.network, again):
        assert network.spec == personal.spec
        own = personal.state_dict()
        assert all(torch.equal(value, own[key]) for key, value in network.state_dict().items())


def test_a_thin_prior_that_is_impossible_is_refused(tmp_path: Path):
    full, _ = _network("resnet20")
    for added, cut in (([NEVER] * 4, False), ([0.0, NEVER, NEVER, NEVER], True), ([0.0, float("nan"), 0, 0], False)):
        Thin.of(full, _masks(full), added=torch.tensor(added), cut=cut).write(tmp_path / "thin")
        with pytest.raises(UserError, match=r"is damaged \(the prior of 4 classes\): fetch or make it again"):
            Thin.read(tmp_path / "thin")
    Thin.of(full, _masks(full), added=torch.zeros(3)).write(tmp_path / "thin")
    with pytest.raises(UserError, match="this thin model has 3 classes, its network 4"):
        Thin.read(tmp_path / "thin").network(full)


@pytest.mark.parametrize("outputs", [[0, 0], [], [4], ["a"], 7, [0.5]])
def test_a_spec_with_impossible_outputs_is_refused(outputs: object):
    full, _ = _network("resnet20")
    spec = type(full.spec)(backbone="resnet20", options={**full.spec.options, "outputs": outputs})
    with pytest.raises(UserError, match="refuses"):
        build(spec)
