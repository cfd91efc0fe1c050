"""Networks by name: what the data tell reaches them, and a spec holds the configuration itself."""

import json
import shutil
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest
import torch
from hub_networks import HUB, OUTPUTS, hub
from torch import nn

from pppl.backbones import ShapeSpec, adapt_foreign, build, slice_network, source_of_backbone, spec_for
from pppl.comparison.origins import code_hash
from pppl.data.preprocessing import Preprocessing
from pppl.deploy import PersonalFile, read_personal
from pppl.lab import groups
from pppl.system.errors import UserError

_VIT = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
_VIT |= {"image_size": 8, "patch_size": 4}


def _no_network(*_: Any, **__: Any) -> NoReturn:
    raise AssertionError("the network is asked")


def _edit(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("torch:zeros", "backbone torch:zeros is builtin_function_or_method, no network: name a class derived from"),
        ("os:system", "os:system is builtin_function_or_method, no network"),
        ("torch.nn:Linaer", "did you mean 'Linear'"),
        (
            "hf/resnte",
            "hf/resnte is neither a type of model of transformers nor a folder here: did you mean 'hf/resnet'",
        ),
        ("hf/./nowhere", "name a folder with config.json"),
    ],
)
def test_a_name_of_no_network_is_told_in_one_line(name: str, sentence: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(socket.socket, "connect", _no_network)
    with pytest.raises(UserError, match=sentence) as error:
        groups(name, (3, 8, 8))
    assert "\n" not in str(error.value)


def test_the_hub_is_told_to_have_been_asked(monkeypatch: pytest.MonkeyPatch):
    transformers = pytest.importorskip("transformers")
    asked: dict[str, Any] = {}

    def refuse(name: str, **options: Any) -> NoReturn:
        asked.update(options, name=name)
        raise OSError("there is none\nat all")

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", refuse)
    with pytest.raises(UserError, match=r"no folder org/name is here, so that the Hugging Face hub was asked.: there"):
        groups("hf/org/name", (3, 8, 8))
    assert asked == {"name": "org/name", "trust_remote_code": False, "local_files_only": False}


def test_a_model_of_the_hub_is_asked_for_once_and_its_spec_needs_the_hub_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    transformers = pytest.importorskip("transformers")
    hub("ViT", tmp_path)
    asked: list[str] = []
    read = transformers.AutoConfig.from_pretrained

    def answer(name: str, **options: Any) -> Any:
        asked.append(name)
        return read(str(tmp_path), **options)

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", answer)
    for _ in range(2):
        spec = adapt_foreign("hf/org/vit", {"hidden_dropout_prob": 0.1}, (3, 32, 32), 5).spec
    assert asked == ["org/vit"]
    assert (spec.backbone, spec.options["arguments"]["hidden_dropout_prob"]) == ("hf/vit", 0.1)
    assert build(spec).widths == spec.options["widths"]
    assert len(asked) == 1


def test_channels_of_the_data_reach_networks_of_transformers(tmp_path: Path):
    transformers = pytest.importorskip("transformers")
    network = adapt_foreign("hf/vit", _VIT, (1, 8, 8), 4)
    assert build(network.spec).net.model.config.num_channels == 1  # type: ignore[union-attr]
    with pytest.raises(UserError, match="channel dimension"):
        adapt_foreign("hf/vit", _VIT | {"num_channels": 3}, (1, 8, 8), 4)
    transformers.ViTConfig(**_VIT).save_pretrained(tmp_path)
    again = build(adapt_foreign(f"hf/{tmp_path}", {}, (2, 8, 8), 4).spec)
    assert again.net.model.config.num_channels == 2  # type: ignore[union-attr]


def _timm(monkeypatch: pytest.MonkeyPatch) -> None:
    class Net(nn.Sequential):
        def __init__(self, num_classes: int, in_chans: int):
            super().__init__(nn.Linear(in_chans, 8), nn.ReLU(), nn.Linear(8, num_classes))

    library = ModuleType("timm")
    library.create_model = lambda name, **given: Net(**given)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "timm", library)


def test_channels_of_the_data_reach_networks_of_timm_unless_options_tell_them(monkeypatch: pytest.MonkeyPatch):
    """A stand-in that shows no parameters, as the function of timm; `test_libraries.py` has the library itself."""
    _timm(monkeypatch)
    assert adapt_foreign("timm/net", {}, (5,), 4).net[0].in_features == 5  # type: ignore[index]
    with pytest.raises(UserError, match="cannot be called with the example"):
        adapt_foreign("timm/net", {"in_chans": 3}, (5,), 4)


def test_networks_of_torchvision_read_three_channels_and_are_classifiers(monkeypatch: pytest.MonkeyPatch):
    library = ModuleType("torchvision")
    library.models = ModuleType("models")  # type: ignore[attr-defined]
    library.models.list_models = lambda module: ["resnet18"]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", library)
    with pytest.raises(UserError, match="torchvision/resnet18 reads 3 channels, but the data have 1: take one of timm"):
        spec_for("torchvision/resnet18", {}, (1, 8, 8), 4)
    with pytest.raises(UserError, match="unknown classifier of torchvision 'deeplabv3_resnet50'"):
        spec_for("torchvision/deeplabv3_resnet50", {}, (3, 8, 8), 4)


def test_a_spec_holds_the_configuration_of_a_folder_and_needs_it_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("transformers")
    folder = tmp_path / "model"
    network = hub("ViT", folder)
    assert network.spec.backbone == "hf/vit"
    assert str(folder) not in network.spec.to_json()
    _edit(folder, num_hidden_layers=1)
    assert adapt_foreign(f"hf/{folder}", {"attn_implementation": "eager"}, (3, 32, 32), 5).spec != network.spec
    smaller = slice_network(network.eval(), [torch.arange(width) < max(1, width // 2) for width in network.widths])
    names = tuple(map(str, range(5)))
    values = Preprocessing(classes=names, shape=(3, 32, 32), gain=(1.0,) * 3, bias=(0.0,) * 3)
    file = PersonalFile(network=smaller, full=network.spec, preprocessing=values, base_sha256="")
    file.write(tmp_path / "personal.safetensors")
    shutil.rmtree(folder)
    (tmp_path / "vit").mkdir()
    monkeypatch.chdir(tmp_path)  # neither the folder of the same name nor the hub is asked
    monkeypatch.setattr(socket.socket, "connect", _no_network)
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert read_personal("personal.safetensors").network(x).equal(smaller(x))


def test_an_edited_configuration_makes_rows_stale(tmp_path: Path):
    pytest.importorskip("transformers")
    hub("ViT", tmp_path)
    name = f"hf/{tmp_path}"
    before = code_hash(source_of_backbone(name))
    assert code_hash(source_of_backbone(name)) == before
    _edit(tmp_path, num_hidden_layers=1)
    assert code_hash(source_of_backbone(name)) != before


def test_code_in_a_folder_is_neither_run_nor_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("transformers")
    monkeypatch.setattr("builtins.input", _no_network)
    hub("ViT", tmp_path)
    _edit(tmp_path, auto_map={"AutoConfig": "evil.Config", "AutoModelForImageClassification": "evil.Net"})
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')")
    assert adapt_foreign(f"hf/{tmp_path}", {}, (3, 32, 32), 5).spec.backbone == "hf/vit"
    _edit(tmp_path, model_type="evil")
    with pytest.raises(UserError, match="cannot be read: ") as error:
        adapt_foreign(f"hf/{tmp_path}", {}, (3, 32, 32), 5)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_wrong_option_of_transformers_is_told_in_one_line():
    pytest.importorskip("transformers")
    with pytest.raises(UserError, match=r"hf/vit refuses .*hidden_size") as error:
        adapt_foreign("hf/vit", _VIT | {"hidden_size": "wide"}, (3, 8, 8), 4)
    assert "\n" not in str(error.value)


def test_a_spec_that_lacks_a_part_is_refused():
    pytest.importorskip("transformers")
    spec = adapt_foreign("hf/vit", _VIT, (3, 8, 8), 4).spec
    for part in ("groups", "widths", "num_outputs"):
        options = {key: value for key, value in spec.options.items() if key != part}
        with pytest.raises(UserError, match="hf/vit does not fit its description"):
            build(ShapeSpec(backbone=spec.backbone, options=options))


def test_layers_of_transformers_are_not_left_out_at_random(tmp_path: Path):
    network = hub("Wav2Vec2", tmp_path)
    assert network.net.model.config.layerdrop == 0  # type: ignore[union-attr]
    asked = adapt_foreign(
        network.spec.backbone, {**network.spec.options["arguments"], "layerdrop": 0.5}, HUB["Wav2Vec2"][1], OUTPUTS
    )
    assert asked.net.model.config.layerdrop == 0.5  # type: ignore[union-attr]
