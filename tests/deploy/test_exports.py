"""Exported files compute what torch computes."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from small_backbones import small
from torch.nn.modules.batchnorm import _BatchNorm

import pppl
from pppl.backbones import Backbone, PaddedSubsample, build, slice_network, spec_for
from pppl.data.features import LogMel
from pppl.data.preprocessing import Preprocessing
from pppl.deploy import Deployed, open_onnx
from pppl.deploy.deploy_text import latency_as_text
from pppl.deploy.formats import FORMATS, to_onnx
from pppl.deploy.graph import LogMelOnly
from pppl.deploy.latency import latency
from pppl.deploy.narrowed import narrow
from pppl.system.errors import UserError

_BACKBONES = ("convnet", "resnet20", "tc_resnet8", "bc_resnet", "ds_cnn_s", "res8")


def _deployed(name: str, log_mel: LogMel | None = None, *, pruned: bool = True) -> Deployed:
    options, shape = small(name)
    shape = shape if log_mel is None else (1, log_mel.frames, log_mel.bands)
    torch.manual_seed(0)
    network = build(spec_for(name, options, shape, 4)).eval()
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            torch.nn.init.normal_(module.running_mean)  # pyright: ignore[reportArgumentType] (there is one)
    masks = [torch.rand(width).argsort() < (width + 1) // 2 for width in network.widths]
    shift = (1000.0,) if name == "res8" else ()  # of values far from 0
    classes = tuple("abcd")
    preprocessing = Preprocessing(classes=classes, shape=shape, gain=(0.5,), bias=(0.1,), shift=shift, log_mel=log_mel)
    own = slice_network(network, masks) if pruned else network
    return Deployed(own, preprocessing, raw_audio=log_mel is not None)


def _written(path: Path, deployed: Deployed, name: str) -> Path:
    path.write_bytes(FORMATS[name][0](deployed, {"classes": list("abcd")}))
    return path


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "bc_resnet" else name for name in _BACKBONES]
)
def test_onnx_runtime_gives_what_torch_gives(name: str, tmp_path: Path):
    deployed = _deployed(name)
    session = open_onnx(_written(tmp_path / "p.onnx", deployed, "onnx"))
    assert (session.input, session.meta) == ("values", {"classes": list("abcd")})
    for batch in (1, 7):
        x = torch.randn(batch, *deployed.input_shape) + sum(deployed.preprocessing.shift)
        np.testing.assert_allclose(session(x.numpy()), deployed(x), atol=1e-4)


_SLOW = (pytest.param(name, marks=pytest.mark.slow) for name in ("resnet20", "tc_resnet8", "ds_cnn_s", "res8"))


@pytest.mark.parametrize("name", ["convnet", *_SLOW])
def test_a_narrowed_export_is_as_fast_as_an_own_one(name: str, tmp_path: Path):
    """What ONNX Runtime makes of both has the same operations on arrays of the same shapes."""
    log_mel = LogMel() if name == "tc_resnet8" else None
    wide, own = _deployed(name, log_mel, pruned=False), _deployed(name, log_mel)
    content = narrow(to_onnx(wide, {}), own)
    assert content is not None
    assert _optimized(content, tmp_path) == _optimized(to_onnx(own, {}), tmp_path)


def _optimized(content: bytes, folder: Path) -> list[tuple]:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(folder / "optimized.onnx"), 4
    onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    graph = onnx.load(folder / "optimized.onnx").graph
    shapes = {value.name: list(value.dims) for value in graph.initializer}
    nodes = [(n.op_type, n.domain, [shapes.get(name) for name in n.input], _attributes(n)) for n in graph.node]
    return sorted(nodes, key=repr)  # nodes that do not wait for each other come in any order


def _attributes(node: onnx.NodeProto) -> list[str]:
    return sorted(map(repr, node.attribute))


@pytest.mark.slow
def test_a_network_that_tells_its_widths_elsewhere_is_not_narrowed():
    assert narrow(to_onnx(_deployed("bc_resnet", pruned=False), {}), _deployed("bc_resnet")) is None


class _Shifted(Backbone):
    """Reads an array of one number per channel that is no layer's."""

    def __init__(self, width: int):
        super().__init__()
        self.conv, self.linear = torch.nn.Conv2d(1, width, 3), torch.nn.Linear(width, 4)
        self.shift = torch.nn.Parameter(torch.randn(width, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear((self.conv(x) + self.shift).relu().mean((2, 3)))


def test_weights_of_no_layer_are_not_narrowed():
    preprocessing = _deployed("convnet").preprocessing
    wide, own = (Deployed(_Shifted(width), preprocessing) for width in (16, 8))
    assert narrow(to_onnx(wide, {}), own) is None


def test_log_mel_inside_takes_recordings_loud_and_nearly_silent(tmp_path: Path):
    deployed = _deployed("tc_resnet8", LogMel())
    session = open_onnx(_written(tmp_path / "p.onnx", deployed, "onnx"))
    assert session.input == "audio"
    loud = torch.tensor([1.0, 1e-2, 1e-4, 0.0])[:, None]
    x = torch.randn(4, 16000, generator=torch.Generator().manual_seed(0)).clamp(-1, 1) * loud
    np.testing.assert_allclose(session(x.numpy()), deployed(x), atol=1e-4)
    plain = Deployed(deployed.network, deployed.preprocessing)  # on log-mels in single precision
    torch.testing.assert_close(deployed(x), plain(LogMel()(x)), atol=1e-2, rtol=1e-2)


def test_the_seal_is_part_of_a_valid_model(tmp_path: Path):
    path = _written(tmp_path / "p.onnx", _deployed("convnet"), "onnx")
    model = onnx.load(path)
    onnx.checker.check_model(model)
    assert {entry.key for entry in model.metadata_props} == {"pppl", "pppl.sha256"}
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)


def test_weights_of_8_bits_take_less_and_nearly_agree(tmp_path: Path):
    deployed = _deployed("res8", LogMel())
    plain, small_file = (_written(tmp_path / name, deployed, name) for name in ("onnx", "onnx-int8"))
    x = torch.randn(8, 16000) * 0.1
    logits, own = open_onnx(small_file)(x.numpy()), deployed(x).numpy()
    assert np.abs(logits - own).max() < 0.1 * np.abs(own).max()
    assert not np.array_equal(logits, open_onnx(plain)(x.numpy()))


@pytest.mark.parametrize("log_mel", [None, LogMel()], ids=["values", "audio"])
def test_a_torch_program_is_the_network(log_mel: LogMel | None, tmp_path: Path):
    deployed = _deployed("tc_resnet8", log_mel)
    extra = {"pppl.json": ""}
    program = torch.export.load(_written(tmp_path / "p.pt2", deployed, "torch"), extra_files=extra)
    assert json.loads(extra["pppl.json"]) == {"classes": list("abcd")}
    x = torch.randn(3, *deployed.input_shape)
    torch.testing.assert_close(program.module()(x), deployed(x))


@pytest.mark.skipif(importlib.util.find_spec("executorch") is None, reason="pip install 'pppl[executorch]'")
def test_executorch_gives_what_torch_gives(tmp_path: Path):
    runtime = importlib.import_module("executorch.runtime")
    deployed = _deployed("tc_resnet8")
    program = runtime.Runtime.get().load_program(_written(tmp_path / "p.pte", deployed, "executorch").read_bytes())
    x = torch.randn(1, *deployed.input_shape)
    torch.testing.assert_close(program.load_method("forward").execute([x])[0], deployed(x), atol=1e-4, rtol=1e-4)


@pytest.mark.skipif(importlib.util.find_spec("executorch") is not None, reason="ExecuTorch is here")
def test_without_executorch_its_extra_is_named():
    with pytest.raises(UserError, match=r"pip install 'pppl\[executorch\]'"):
        FORMATS["executorch"][0](_deployed("tc_resnet8"), {})


@pytest.mark.slow
def test_latency_tells_the_part_of_log_mel(tmp_path: Path):
    log_mel = LogMel()
    whole, own = (_deployed("tc_resnet8", log_mel, pruned=pruned) for pruned in (False, True))
    spec, full = (json.loads(each.network.spec.to_json()) for each in (own, whole))
    meta = {"preprocessing": json.loads(own.preprocessing.to_json()), "spec": spec, "full": full}
    for raw in (True, False):
        deployed = Deployed(own.network, own.preprocessing, raw_audio=raw)
        (tmp_path / f"{raw}.onnx").write_bytes(to_onnx(deployed, meta | {"raw_audio": raw}))
    table = latency([tmp_path / "True.onnx", tmp_path / "False.onnx"], runs=5)
    hears = [name.endswith(("log-mel", "True.onnx")) for name in table["file"]]
    assert len(table) == 8
    assert table["log_mel_ms"].notna().tolist() == table["network_speed_up"].notna().tolist() == hears
    assert (table["log_mel_ms"] > 0).sum() == 4
    text = latency_as_text(table, 1)
    assert "log-mel" in text.splitlines()[1]
    assert "speed-up without it" in text.splitlines()[1]
    assert "speed-up without it" not in latency_as_text(table[~np.array(hears)], 1)


def test_log_mel_alone_gives_features(tmp_path: Path):
    deployed = _deployed("tc_resnet8", LogMel())
    hears = LogMelOnly(deployed.network, deployed.preprocessing, raw_audio=True)
    session = open_onnx(_written(tmp_path / "p.onnx", hears, "onnx"))
    x = 0.1 * torch.randn(2, *hears.input_shape)
    np.testing.assert_allclose(session(x.numpy()), deployed.preprocessing.log_mel(x), atol=1e-3)  # type: ignore[misc]


def test_raw_audio_is_refused_where_nothing_hears():
    deployed = _deployed("convnet")
    with pytest.raises(UserError, match="no raw audio"):
        Deployed(deployed.network, deployed.preprocessing, raw_audio=True)


def test_an_exported_shortcut_is_the_same(tmp_path: Path):
    options, shape = small("resnet20")
    network = build(spec_for("resnet20", options, shape, 4)).eval()
    preprocessing = Preprocessing(classes=tuple("abcd"), shape=shape, gain=(1.0,), bias=(0.0,))
    x = torch.randn(2, *shape)
    torch.testing.assert_close(Deployed(network, preprocessing)(x), network(x))
    session = open_onnx(_written(tmp_path / "p.onnx", Deployed(network, preprocessing), "onnx"))
    assert "Pad" not in {node.op_type for node in onnx.load(tmp_path / "p.onnx").graph.node}
    np.testing.assert_allclose(session(x.numpy()), network(x).detach(), atol=1e-5)


@pytest.mark.parametrize("channels", [3, 32])
def test_shortcuts_for_engines_are_the_same(channels: int):
    for new in (2 * channels, 3 * channels + 1, channels):
        shortcut = PaddedSubsample(channels, new, 2)
        x = torch.randn(2, channels, 8, 8)
        assert torch.equal(shortcut.in_blocks()(x), shortcut(x))


def test_means_over_pixels_keep_images_in_blocks(tmp_path: Path):
    model = onnx.load(_written(tmp_path / "p.onnx", _deployed("resnet20"), "onnx"))
    operations = [node.op_type for node in model.graph.node]
    assert "GlobalAveragePool" in operations
    assert "ReduceMean" not in operations


@pytest.mark.parametrize("name", ["onnx", "onnx-int8", "torch"])
def test_no_export_names_files_of_the_machine_that_made_it(name: str, tmp_path: Path):
    content = _written(tmp_path / "p", _deployed("convnet"), name).read_bytes()
    assert str(Path(pppl.__file__).parent).encode() not in content
