"""Any network as a backbone: what is found in it is removed exactly, counted exactly and exported."""

import copy
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from hub_networks import HUB, OUTPUTS, hub, own, two_inputs
from masking import assert_close, masked, masks_of, with_values
from own_nets import OWN
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pppl.backbones import (
    Adapted,
    ShapeSpec,
    build,
    load_weights,
    plain_module,
    slice_network,
    tensors_of,
)
from pppl.data.preprocessing import Preprocessing
from pppl.deploy import PersonalFile, read_personal
from pppl.deploy.formats import to_onnx
from pppl.deploy.graph import Deployed
from pppl.gating import GatedNetwork
from pppl.lab import groups
from pppl.pruning import CostModel, importance_scores
from pppl.system.errors import UserError

NETWORKS = [*HUB, *OWN]
# Each layer of theirs is in ResNet, EfficientNet, ViT, Bert or an own network; an export takes seconds.
ALIKE = ("MobileNetV1", "MobileNetV2", "RegNet", "ConvNext", "DeiT", "Swin", "AST", "DistilBert", "Wav2Vec2")


@cache
def _made(name: str) -> Adapted:
    if name in HUB:
        pytest.importorskip("transformers")
        with tempfile.TemporaryDirectory() as folder:
            return hub(name, Path(folder))
    return own(name)


def _network(name: str) -> tuple[Adapted, tuple[int, ...]]:
    network = copy.deepcopy(_made(name))
    with_values(network)
    return network.eval(), HUB[name][1] if name in HUB else OWN[name][1]


def _samples(network: Adapted, shape: tuple[int, ...], count: int = 3) -> Tensor:
    x = torch.rand(count, *shape, generator=torch.Generator().manual_seed(2))
    return (x * 90).floor() + 5 if getattr(network.net, "reads", "") == "tokens" else x


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_found_is_removed_and_counted_exactly(name: str):
    network, shape = _network(name)
    cost = CostModel(network, shape)
    x = _samples(network, shape)
    with torch.no_grad():
        whole = network(x)
    for seed in range(2):
        masks = masks_of(network.widths, seed)
        smaller = slice_network(network, masks)
        with torch.no_grad():
            assert_close(masked(network, masks, x), [smaller(x)])
        widths = [int(mask.sum()) for mask in masks]
        assert smaller.widths == tuple(widths)
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):  # it does not count fused kernels
            smaller(x[:1])
        if name != "recurrent layer":  # nor recurrent layers
            assert cost(widths).macs == counter.get_total_flops() // 2
        assert cost(widths).params == sum(tensor.numel() for tensor in smaller.parameters())
    with torch.no_grad():
        assert network(x).equal(whole), "slicing changes nothing of the network"


@pytest.mark.parametrize("name", HUB)
def test_a_named_network_is_built_again_from_its_spec(name: str, tmp_path: Path):
    network, shape = _network(name)
    smaller = slice_network(network, masks_of(network.widths, 0))
    again = build(ShapeSpec.from_json(smaller.spec.to_json()))
    again.load_state_dict(smaller.state_dict())
    x = _samples(network, shape)
    with torch.no_grad():
        assert again.eval()(x).equal(smaller(x))
    assert again.groups == network.groups
    assert build(network.spec).training, "as a new network is"
    names = tuple(map(str, range(OUTPUTS)))
    values = Preprocessing(classes=names, shape=shape, gain=(1.0,) * shape[0], bias=(0.0,) * shape[0])
    about = {"preprocessing": values, "base_sha256": "", "provenance": {}}
    PersonalFile(network=smaller, full=network.spec, **about).write(tmp_path / "personal.safetensors")  # type: ignore[arg-type]
    with torch.no_grad():
        assert read_personal(tmp_path / "personal.safetensors").network(x).equal(smaller(x))


def test_weights_have_the_names_of_the_library(tmp_path: Path):
    pytest.importorskip("transformers")
    network = hub("ResNet", tmp_path)
    plain_module(network).save_pretrained(tmp_path)  # type: ignore[operator]
    fresh = build(network.spec)
    assert load_weights(plain_module(fresh), tmp_path / "model.safetensors") == []
    assert all(value.equal(network.state_dict()[name]) for name, value in fresh.state_dict().items())


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in ALIKE)) for name in NETWORKS])
def test_the_smaller_network_is_exported(name: str):
    network, shape = _network(name)
    smaller = slice_network(network, masks_of(network.widths, 0))
    names = tuple(map(str, range(OUTPUTS)))
    values = Preprocessing(classes=names, shape=shape, gain=(1.0,) * shape[0], bias=(0.0,) * shape[0])
    session = onnxruntime.InferenceSession(to_onnx(Deployed(smaller, values), {}))
    x = _samples(network, shape)
    with torch.no_grad():
        (logits,) = session.run(None, {"values": x.numpy()})
        assert_close([smaller(x)], [torch.from_numpy(logits)])


@pytest.mark.parametrize("name", NETWORKS)
def test_gates_and_criteria_read_what_is_found(name: str):
    import torch_pruning as tp

    network, shape = _network(name)
    x = _samples(network, shape)
    gated = GatedNetwork(network, width=4).train()
    output = gated(x)
    assert [gates.shape for gates in output.gates] == [(len(x), width) for width in network.widths]
    (output.logits.square().mean() + output.embedding().mean()).backward()
    assert all(gate.logits.weight.grad.abs().sum() > 0 for gate in gated.gates)  # type: ignore[union-attr]
    scores = importance_scores(network, tp.importance.MagnitudeImportance(p=1, group_reduction="first"))
    assert [score.shape for score in scores] == [(width,) for width in network.widths]


def test_two_inputs_and_two_outputs():
    network, example = two_inputs()
    masks = masks_of(network.widths, 0)
    smaller = slice_network(network.eval(), masks)
    with FlopCounterMode(display=False) as counter:
        smaller({name: tensor[:1] for name, tensor in example.items()})
    assert CostModel(network, example)(smaller.widths).macs == counter.get_total_flops() // 2
    with torch.no_grad():
        assert_close(masked(network, masks, example), tensors_of(smaller(example)))
        assert {name: value.shape for name, value in smaller.net(**example).items()} == {  # type: ignore[operator]
            "classes": (2, 4),
            "place": (2, 2),
        }


def test_the_network_stays_as_it_is():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    module[0].weight.requires_grad_(False)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    torch.manual_seed(3)
    Adapted(module, torch.rand(2, 3, 8, 8))
    torch.manual_seed(3)
    state = torch.get_rng_state()
    Adapted(module, torch.ones(2, 3, 8, 8))
    assert torch.get_rng_state().equal(state)
    assert module.training
    assert not module[0].weight.requires_grad
    assert all(value.equal(before[name]) for name, value in module.state_dict().items())
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in module.modules())


class _Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.one(x).view(-1, 8).numpy())  # type: ignore[arg-type]


def _tied() -> nn.Module:
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2))
    net[1].weight = net[0].weight
    return net


def _quantized() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # quantization moves to another package
        return torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(4, 8)), dtype=torch.qint8)


REFUSED = {
    "no removable channel": (lambda: nn.Linear(4, 2), "no channels that can be removed"),
    "no layer": (lambda: nn.ReLU(), "no channels that can be removed"),
    "not traceable": (_Branching, "cannot be called with the example"),
    "wrong shape": (lambda: nn.Sequential(nn.Linear(5, 8), nn.Linear(8, 2)), "called with the example: mat1 and mat2"),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(8), nn.Linear(8, 2)), "'0' has no shape yet"),
    "scripted": (lambda: torch.jit.script(nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))), "is scripted"),
    "shared weights": (_tied, "'1' (Linear) shares its weight with another layer"),
    "quantized": (_quantized, "'0' is quantized"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_what_cannot_be_adapted_is_refused_in_one_line(case: str):
    make, sentence = REFUSED[case]
    with pytest.raises(UserError) as error:
        Adapted(make(), torch.rand(2, 4))
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_an_example_without_a_batch_or_without_values_is_refused():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
    with pytest.raises(UserError, match=r"the example is one sample: give it a batch dimension"):
        Adapted(net, torch.rand(3, 8, 8))
    with pytest.raises(UserError, match="cannot be copied: Cannot copy out of meta tensor"):
        Adapted(net, torch.rand(2, 3, 8, 8, device="meta"))


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("nowhere.nets:Net", {}, "no module 'nowhere.nets' to import"),
        ("torch.nn:Linaer", {}, "did you mean 'Linear'"),
        ("torch.nn:Linear", {"width": 4}, "refuses"),
        ("hub/resnet", {}, "unknown library of networks 'hub'"),
        ("hf/nowhere", {}, "name a folder with config.json"),
        ("hf/vit", {"image_size": 32, "patch_size": 8}, "hf/vit cannot be called with the example: Input image size"),
        ("timm/resnet18", {}, "pip install timm"),
    ],
)
def test_a_name_that_leads_nowhere_is_told(name: str, options: dict[str, Any], sentence: str):
    with pytest.raises(UserError, match=sentence):
        groups(name, (3, 8, 8), options=options)


def test_groups_show_themselves():
    table = groups("convnet", (1, 8, 8), options={"widths": (4, 8)})
    assert "2 groups with 12 channels" in str(table)
    shown = groups(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), torch.rand(2, 4))
    assert "they are outputs of the network" in str(shown)
    assert "<td" in shown._repr_html_()
