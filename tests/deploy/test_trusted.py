"""What a file may choose of the network that it describes: neither code nor anything to fetch."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import own_nets
import pytest

from pppl.backbones import BACKBONES, ShapeSpec, build, put_bases, put_outputs, register_backbone, spec_for
from pppl.backbones.convnet import ConvNet
from pppl.deploy.trusted import _LOADING, trusted
from pppl.system.errors import UserError
from pppl.system.plugins import load_plugins


def _nested(depth: int) -> list[Any]:
    return [_nested(depth - 1)] if depth else []


_OWN = f"{own_nets.__file__}:Gated"
# What a file asks for: the name of its network, its arguments, and a part of the refusal.
_REFUSED: dict[str, tuple[Any, Any, str]] = {
    "imported by others": ("torch.nn.modules.linear:Linear", {}, r"load_plugins\(\['torch.nn.modules.linear'\]\)"),
    "no network of what is loaded": ("subprocess:call", {}, "subprocess:call is function, no network"),
    "class of what is loaded": ("subprocess:Popen", {"args": "touch"}, "subprocess:Popen is type, no network"),
    "nothing of what is loaded": (f"{own_nets.__file__}:Gate", {}, "did you mean 'Gated'"),
    "two colons": ("os:system:x", {}, "is no model of a library by name"),
    "path for a loaded class": (_OWN, {"weights": "/tmp/x.pt"}, "'weights' = '/tmp/x.pt', which a file"),
    "nested path": (_OWN, {"options": {"from": ["x.pt"]}}, "'options' = "),
    "code of the hub": ("hf/vit", {"trust_remote_code": True}, "'trust_remote_code' = True"),
    "kernel of the hub": ("hf/vit", {"attn_implementation": "org/kernel"}, "'attn_implementation' = 'org/kernel'"),
    "other attention": ("hf/vit", {"attn_implementation": "flash"}, "'attn_implementation' = 'flash'"),
    "kernels": ("hf/jamba", {"use_mamba_kernels": True}, "'use_mamba_kernels' = True"),
    "model of the hub": ("hf/org/name", {}, "'hf/org/name' is no model of a library by name"),
    "folder": ("hf/../vit", {}, "is no model of a library by name"),
    "address of timm": ("timm/hf-hub:org/name", {}, "is no model of a library by name"),
    "nested backbone": ("hf/vit", {"backbone_config": {"use_pretrained_backbone": True}}, "'backbone_config'"),
    "text": ("hf/timm_wrapper", {"architecture": "resnet50"}, "'architecture' = 'resnet50'"),
    "path as activation": ("hf/vit", {"hidden_act": "../act"}, "'hidden_act' = '../act'"),
    "weights": ("timm/resnet18", {"pretrained": True}, "'pretrained' = True"),
    "weights by a list": ("timm/resnet18", {"pretrained": [1]}, "'pretrained' = "),
    "address": ("timm/resnet18", {"pretrained_cfg_overlay": {"url": "http://x"}}, "'pretrained_cfg_overlay'"),
    "checkpoint": ("timm/resnet18", {"checkpoint_path": "x"}, "'checkpoint_path' = 'x'"),
    "weights by name": ("torchvision/resnet18", {"weights": "DEFAULT"}, "'weights' = 'DEFAULT'"),
    "another library": ("hub/resnet", {}, "'hub/resnet' is no model of a library"),
    "switch of a loaded class": (_OWN, {"pretrained": True, "checkpoint": "model_of_another"}, "'pretrained' = True"),
    "word for a loaded class": (_OWN, {"checkpoint": "model_of_another"}, "'checkpoint' = 'model_of_another'"),
    "nested switch": (_OWN, {"options": [{"download": True}]}, "'options' = "),
    "compiled code of mra": ("hf/mra", {}, "hf/mra loads code of the hub, which a file does not choose: use the ONNX"),
    "compiled code of yoso": ("hf/yoso", {}, "hf/yoso loads code of the hub, which a file does not choose"),
    "many lists in lists": (
        _OWN,
        {"depths": _nested(480)},
        "is damaged .its network has a larger or deeper 'arguments'",
    ),
    "long list": (_OWN, {"depths": [1] * 70_000}, "is damaged .its network has a larger or deeper 'arguments'"),
    "large number": ("hf/vit", {"hidden_size": 10**9}, "is damaged .its network has a larger or deeper 'arguments'"),
    "large sum": ("hf/convnext", {"depths": [10**7] * 4}, "is damaged .its network has 'depths' = .*, more than any"),
    "no arguments": ("hf/vit", None, "is damaged .its network has no arguments"),
    "no name": (5, {}, "is damaged .its network has no name"),
}
_ACCEPTED: dict[str, dict[str, Any]] = {
    _OWN: {"channels": 3, "activation": "relu", "depths": [1, 2], "options": {"rates": [0.1]}, "kernels": 3},
    "hf/swinv2": {
        "attn_implementation": "sdpa",
        "hidden_act": "gelu",
        "depths": [2, 2],
        "pretrained_window_sizes": [0],
    },
    "hf/llama": {"max_position_embeddings": 10_485_760, "vocab_size": 250_000},
    "hf/modernbert": {"rope_parameters": {"full_attention": {"rope_theta": 160000.0, "rope_type": "default"}}},
    "timm/resnet18.a1_in1k": {"drop_rate": 0.1, "act_layer": "relu", "pretrained": False},
    "torchvision/googlenet": {"aux_logits": False, "init_weights": False, "weights": None},
}


def _spec(name: Any, arguments: Any) -> ShapeSpec:
    options = {"arguments": arguments, "input_shape": (3, 8, 8), "num_outputs": 4, "widths": (1,)}
    return ShapeSpec(backbone=name, options=options)


@pytest.mark.parametrize("kind", _REFUSED)
def test_a_file_chooses_neither_code_nor_anything_to_fetch(kind: str):
    load_plugins(["subprocess", own_nets.__file__])
    name, arguments, sentence = _REFUSED[kind]
    with pytest.raises(UserError, match=sentence) as error:
        trusted(_spec(name, arguments), Path("p.safetensors"))
    assert str(error.value).startswith("p.safetensors")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", _ACCEPTED)
def test_a_file_chooses_numbers_and_names_of_parts(name: str):
    load_plugins([own_nets.__file__])
    spec = _spec(name, _ACCEPTED[name])
    assert trusted(spec, Path("p.safetensors")) == spec


@pytest.mark.parametrize("shape", [(3, -1), (3, "8"), "abc", (True, 8)])
def test_a_shape_that_no_data_have_is_refused(shape: Any):
    options = {"arguments": {}, "input_shape": shape, "num_outputs": 4}
    with pytest.raises(UserError, match=r"is damaged .its network is for data of shape"):
        trusted(ShapeSpec(backbone="hf/vit", options=options), Path("p.safetensors"))


def test_the_remedy_for_an_onnx_file_is_not_the_onnx_file():
    with pytest.raises(UserError, match=r"before it is read, or use it with `pppl predict`$"):
        trusted(_spec("torch.nn.modules.linear:Linear", {}), Path("p.onnx"))


class _Named(ConvNet):
    def __init__(self, *, in_channels: int, num_outputs: int, form: str = "old", pretrained: bool = True, widths=None):
        super().__init__(in_channels=in_channels, num_outputs=num_outputs, widths=widths)


@pytest.fixture
def _registered() -> Iterator[None]:
    register_backbone("named")(_Named)
    yield
    BACKBONES.drop(__name__)


@pytest.mark.usefixtures("_registered")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("named", {"form": "model_of_another"}),
        ("named", {"form": "../old"}),
        ("named", {"pretrained": 2}),
        ("resnet20", {"shortcut": "/tmp/A"}),
    ],
)
def test_a_file_chooses_nothing_to_fetch_for_a_registered_network(name: str, options: dict[str, Any]):
    data = {"in_channels": 3, "num_outputs": 4, "widths": (1,)}
    with pytest.raises(UserError, match="which a file does not choose"):
        trusted(ShapeSpec(backbone=name, options=data | options), Path("p.safetensors"))


@pytest.mark.usefixtures("_registered")
def test_what_a_registered_network_takes_by_default_is_no_choice_of_a_file():
    for name, options in (("named", {}), ("resnet20", {"shortcut": "B"}), ("bc_resnet", {})):
        spec = spec_for(name, options, (1, 40, 40), 4)
        spec = put_outputs(put_bases(build(spec), {}), [1, 2]).spec
        assert trusted(spec, Path("p.safetensors")) == spec


def test_types_of_transformers_that_load_code_of_the_hub_are_known():
    transformers = pytest.importorskip("transformers")
    models = Path(transformers.__file__).parent / "models"
    heads = ("ImageClassification", "AudioClassification", "SequenceClassification")
    known = {
        kind for head in heads for kind in getattr(transformers, f"AutoModelFor{head}")._model_mapping._model_mapping
    }
    texts = {path.parent.name: path.read_text() for path in models.glob("*/modeling_*.py")}
    loading = {f"hf/{kind}" for kind in known if re.search(r"get_kernel|load_\w*kernel", texts.get(kind, ""))}
    assert loading == {*_LOADING}
