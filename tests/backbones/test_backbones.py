"""Sizes against the papers', names against public weights, and what is refused. Surgery: tests/pruning."""

import inspect
import json
import os
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch

from pppl.backbones import BACKBONES, Backbone, ShapeSpec, build, spec_for
from pppl.backbones.bc_resnet import SubSpectralNorm
from pppl.backbones.index import ChannelIndex
from pppl.pruning import Cost, CostModel
from pppl.system.errors import UserError


def _full(name: str, shape: tuple[int, ...], num_outputs: int, **options: object) -> tuple[Backbone, Cost]:
    with torch.device("meta"):  # shapes without numbers: nothing is computed
        network = build(spec_for(name, options, shape, num_outputs))
        return network, CostModel(network, shape).full


def _statistics(network: Backbone) -> int:
    return sum(value.numel() for name, value in network.named_buffers() if "running" in name)


def _rounds_to(value: float, stated: str) -> bool:
    """Whether a number, in the unit of the stated one, is what the paper rounded."""
    half = 0.5 * 10.0 ** -len(stated.partition(".")[2])
    return abs(value - float(stated)) <= half


# He et al. 2016, section 4.2 and table 6: parameters in M. The paper has no multiplications for these networks; 40.8
# and 125.7 MMACs are what the literature states, and are those of shortcut B. Li et al. 2017 (table 1) say 125 and
# 253 M for ResNet-56 and 110, which fits both.
@pytest.mark.parametrize(
    ("depth", "params", "macs", "macs_b"),
    [
        (20, "0.27", "40.6", "40.8"),
        (32, "0.46", "68.9", "69.1"),
        (44, "0.66", "97.2", "97.4"),
        (56, "0.85", "125.5", "125.7"),
        (110, "1.7", "252.9", "253.1"),
    ],
)
def test_cifar_resnets_have_the_papers_size(depth: int, params: str, macs: str, macs_b: str):
    network, cost = _full(f"resnet{depth}", (3, 32, 32), 10)
    assert _rounds_to(cost.params / 1e6, params)
    assert _rounds_to(cost.macs / 1e6, macs)
    assert _rounds_to(_full(f"resnet{depth}", (3, 32, 32), 10, shortcut="B")[1].macs / 1e6, macs_b)
    assert len(network.groups) == (depth - 2) // 2


def test_resnet18_has_the_papers_size():
    network, cost = _full("resnet18", (3, 224, 224), 1000)
    assert cost.params == 11_689_512  # torchvision's
    assert _rounds_to(cost.macs / 1e9, "1.8")  # He et al. 2016, table 1: 1.8e9 multiply-adds
    keys = network.state_dict().keys()
    assert {"conv1.weight", "layer4.1.bn2.running_var", "layer2.0.downsample.1.weight", "fc.bias"} <= keys
    assert "layer1.0.downsample.0.weight" not in keys
    assert len(keys) == 122  # as torchvision's state dict


# Tang and Lin 2018: parameters and multiplications. Theirs are of 99 x 38 positions for 101 x 40 inputs (of res15,
# 1.52 M for the first convolution, of 405 parameters), as if it had no padding; and behind a pooling layer of
# about a tenth fewer still, which no padding of ours explains.
@pytest.mark.parametrize(
    ("name", "params", "multiplies", "most"),
    [
        ("res8", 110e3, 30e6, 1.11),
        ("res8_narrow", 19.9e3, 5.65e6, 1.11),
        ("res15", 238e3, 894e6, 1.0),
        ("res15_narrow", 42.6e3, 160e6, 1.0),
        ("res26", 438e3, 380e6, 1.08),
        ("res26_narrow", 78.4e3, 68.5e6, 1.08),
    ],
)
def test_tang_lin_networks_have_the_papers_size(name: str, params: float, multiplies: float, most: float):
    network, cost = _full(name, (1, 99, 38), 12)
    assert cost.params == pytest.approx(params, rel=0.003)
    assert 0.995 <= cost.macs / multiplies <= most
    assert cost.params == _full(name, (1, 101, 40), 12)[1].params
    layers = int(name.removeprefix("res").removesuffix("_narrow"))
    assert sum(isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)) for module in network.modules()) == layers


# Zhang et al. 2018, table of DS-CNN S, M and L: memory in KB (8-bit weights, normalization folded into a bias, and the
# two largest neighbouring activations, which are the first two) and operations in M: two per MAC, one per bias added.
@pytest.mark.parametrize(
    ("name", "memory", "operations"),
    [("ds_cnn_s", "38.6", "5.4"), ("ds_cnn_m", "189.2", "19.8"), ("ds_cnn_l", "497.6", "56.9")],
)
def test_ds_cnns_have_the_papers_size(name: str, memory: str, operations: str):
    network, cost = _full(name, (1, 49, 10), 12)
    sizes: list[int] = []
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda _m, _x, y: sizes.append(prod(y.shape[1:])))
    network(torch.zeros(2, 1, 49, 10, device="meta"))
    folded = cost.params - _statistics(network) // 2  # one bias, not a scale and a shift
    assert _rounds_to((folded + sizes[0] + sizes[1]) / 1e3, memory)
    assert _rounds_to((2 * cost.macs + sum(sizes)) / 1e6, operations)


# Choi et al. 2019, table 2: FLOPs, two per MAC, and parameters, which include the running statistics.
@pytest.mark.parametrize(
    ("name", "width", "params", "flops"),
    [
        ("tc_resnet8", 1, "66", "3"),
        ("tc_resnet8", 1.5, "145", "6.6"),
        ("tc_resnet14", 1, "137", "6.1"),
        ("tc_resnet14", 1.5, "305", "13.4"),
    ],
)
def test_tc_resnets_have_the_papers_size(name: str, width: float, params: str, flops: str):
    network, cost = _full(name, (1, 98, 40), 12, width=width)
    assert _rounds_to((cost.params + _statistics(network)) / 1e3, params)
    assert _rounds_to(2 * cost.macs / 1e6, flops)


# Kim et al. 2021, table 3. Its multiplications are more than those of convolutions and linear layers by the same number
# per channel for all six, at 98 x 40: elementwise ones, of which it does not say which.
@pytest.mark.parametrize(
    ("scale", "params", "multiplies"),
    [
        (1, "9.2", "3.1"),
        (1.5, "17.2", "5.5"),
        (2, "27.3", "8.5"),
        (3, "54.2", "16.2"),
        (6, "188", "53.1"),
        (8, "321", "89.1"),
    ],
)
@pytest.mark.parametrize("index_add", [False, True])
def test_bc_resnets_have_the_papers_size(scale: float, params: str, multiplies: str, index_add: bool):
    network, cost = _full("bc_resnet", (1, 98, 40), 12, scale=scale, index_add=index_add)
    assert _rounds_to(cost.params / 1e3, params)
    assert _rounds_to(cost.macs / 1e6 + 0.712 * scale, multiplies)
    assert len(network.groups) == (39 if index_add else 15)


@pytest.mark.parametrize(
    ("name", "shape", "least"),
    [
        ("resnet20", (3, 32, 32), 0.048),
        ("res15", (1, 101, 40), 0.024),
        ("ds_cnn_s", (1, 49, 10), 0.004),
        ("tc_resnet8", (1, 98, 40), 0.057),
        ("bc_resnet", (1, 98, 40), 0.0511),
    ],
)
def test_the_least_network_is_small(name: str, shape: tuple[int, ...], least: float):
    with torch.device("meta"):
        cost = CostModel(network := build(spec_for(name, {}, shape, 12)), shape)
    assert cost.fraction([1] * len(network.groups)) <= least


def test_names_are_those_of_public_cifar_weights():
    names = {"conv1.weight", "linear.weight", "linear.bias"}
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names |= {f"bn1.{kind}" for kind in norm}
    for stage in (1, 2, 3):
        for block in range(3):
            for part in (1, 2):
                names.add(f"layer{stage}.{block}.conv{part}.weight")
                names |= {f"layer{stage}.{block}.bn{part}.{kind}" for kind in norm}
    assert build(ShapeSpec(backbone="resnet20", options={})).state_dict().keys() == names


@pytest.mark.parametrize(("name", "least"), [("resnet20", 0.75), ("resnet56", 0.79)])
def test_public_cifar_weights_load_and_classify(name: str, least: float):
    if not os.environ.get("PPPL_DATA"):
        pytest.skip("set PPPL_DATA to a folder with weights/resnet20.npz and cifar-10-batches-bin")
    folder = Path(os.environ["PPPL_DATA"])
    with np.load(folder / "weights" / f"{name}.npz", allow_pickle=False) as arrays:
        state = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
    network = build(ShapeSpec(backbone=name, options={}))
    network.load_state_dict(state)  # strict
    rows = np.fromfile(folder / "cifar-10-batches-bin" / "test_batch.bin", np.uint8, 200 * 3073).reshape(-1, 3073)
    x = torch.from_numpy(rows[:, 1:].reshape(-1, 3, 32, 32)).float() / 255
    x = (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    with torch.no_grad():
        correct = network.eval()(x).argmax(1) == torch.from_numpy(rows[:, 0])
    assert correct.float().mean() >= least  # 81 and 83 % of this JPEG copy of the images


@pytest.mark.parametrize("name", BACKBONES)
def test_a_spec_names_every_option_and_rebuilds(name: str):
    shape = (3, 32, 32) if name.startswith("resnet") else (1, 50, 40)
    with torch.device("meta"):
        network = build(spec_for(name, {}, shape, 7))
        assert network.spec.backbone == name
        assert network.spec.options.keys() == inspect.signature(BACKBONES[name]).parameters.keys()
        assert len(network.widths) == len(network.groups)
        json.loads(network.spec.to_json())
        again = build(ShapeSpec.from_json(network.spec.to_json()))
        assert again.spec == network.spec
        assert str(again) == str(network)
        smallest = build(network.spec.with_widths([1] * len(network.groups)))
    with pytest.raises(UserError, match=rf"backbone {name} refuses"):
        build(network.spec.with_widths(()))
    assert smallest.widths == (1,) * len(network.groups)
    for group in network.groups:
        for path in (group.producer, group.output, *group.followers, *group.consumers):
            network.get_submodule(path)


def test_data_that_do_not_fit_are_told_in_a_line():
    cases = {
        "backbone resnet20 takes images or spectrograms (C, H, W), but the data are series (C, T): use convnet": (
            lambda: spec_for("resnet20", {}, (3, 20), 10)
        ),
        "backbone resnet20 has option in_channels = 1, but the data have 3: leave it out": (
            lambda: spec_for("resnet20", {"in_channels": 1}, (3, 32, 32), 10)
        ),
        "backbone tc_resnet8 has option bands = 40, but the data have 13: leave it out": (
            lambda: spec_for("tc_resnet8", {"bands": 40}, (1, 49, 13), 10)
        ),
        "a half, a quarter and an eighth of the bands (20) are not multiples of sub_bands (5)": (
            lambda: build(spec_for("bc_resnet", {}, (1, 49, 20), 10))
        ),
        "backbone res8 cannot take data of shape (1, 3, 2): ": (
            lambda: CostModel(build(spec_for("res8", {}, (1, 3, 2), 10)), (1, 3, 2))
        ),
        "widths[1] is 17, but that group has 1 to 16 channels": (
            lambda: build(spec_for("resnet20", {"widths": (16, 17, 16, *[32] * 3, *[64] * 3)}, (3, 32, 32), 10))
        ),
        "widths holds 2 numbers, but the network has 9 groups of channels": (
            lambda: build(spec_for("resnet20", {"widths": (3, 4)}, (3, 32, 32), 10))
        ),
    }
    for message, refused in cases.items():
        with pytest.raises(UserError) as error:
            refused()
        assert message in str(error.value)
        assert "\n" not in str(error.value)


def test_options_that_contradict_the_data_or_their_kind():
    with pytest.raises(UserError, match="resnet20 has option num_outputs = 3, but the data have 10: leave it out"):
        spec_for("resnet20", {"num_outputs": 3}, (3, 32, 32), 10)
    with pytest.raises(UserError, match="option index_add of backbone resnet20 is 'no': write true or false"):
        build(spec_for("resnet20", {"index_add": "no"}, (3, 32, 32), 10))
    with pytest.raises(UserError, match="bc_resnet refuses"):
        build(spec_for("bc_resnet", {"scale": float("inf")}, (1, 49, 40), 10))
    with pytest.raises(UserError, match="res15"):
        CostModel(build(spec_for("res15", {"pool": [2, 2.5]}, (1, 49, 40), 10)), (1, 49, 40))


def test_a_channel_index_reads_and_writes_in_place():
    stream, branch = torch.randn(2, 5, 3), torch.randn(2, 2, 3)
    index = ChannelIndex(5, 2)
    index.index = torch.tensor([1, 4])
    torch.testing.assert_close(index.select(stream), stream[:, [1, 4]])
    spread = index.spread(branch)
    torch.testing.assert_close(spread[:, [1, 4]], branch)
    assert spread[:, [0, 2, 3]].abs().sum() == 0
    torch.testing.assert_close(index.add(stream, branch), stream + spread)
    whole = ChannelIndex(5, 5)
    assert whole.select(stream) is stream
    assert whole.spread(stream) is stream
    assert torch.equal(whole.add(stream, stream), stream + stream)


def test_subspectral_normalization_is_batch_normalization_of_each_band():
    torch.manual_seed(0)
    norm = SubSpectralNorm(3, 2)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    each = [torch.nn.BatchNorm2d(3) for _ in range(2)]
    for band, plain in enumerate(each):
        plain.load_state_dict({"weight": norm.weight[:, band], "bias": norm.bias[:, band]}, strict=False)
    for training in (True, True, False):
        x = torch.randn(4, 3, 6, 5)
        expected = torch.cat([p.train(training)(part) for p, part in zip(each, x.split(3, dim=2), strict=True)], dim=2)
        torch.testing.assert_close(norm.train(training)(x), expected)
    for band, plain in enumerate(each):
        torch.testing.assert_close(norm.running_mean[:, band], plain.running_mean)
        torch.testing.assert_close(norm.running_var[:, band], plain.running_var)
