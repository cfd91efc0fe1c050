"""A network much larger than the file that describes it is not built."""

import json
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from pppl.backbones import Backbone, ShapeSpec, adapt_foreign, build, spec_for
from pppl.data.preprocessing import Preprocessing
from pppl.deploy import Deployed
from pppl.deploy.formats import to_onnx
from pppl.deploy.latency import latency
from pppl.deploy.meta_build import TooLarge, build_bounded, build_on_meta
from pppl.system.errors import UserError
from pppl.system.plugins import load_module

_NETS = """
import torch
from torch import nn

MADE = []


class Deep(nn.Sequential):
    def __init__(self, num_classes, in_channels, depth=1, width=8, catches=False):
        layers = []
        for at in range(depth):
            try:
                layers.append(nn.ReLU())
                layers.append(nn.Linear(in_channels if at == 0 else width, width))
            except Exception:
                if not catches:
                    raise
            MADE.append(at)
        super().__init__(*layers, nn.ReLU(), nn.Linear(width, num_classes))


class Rated(Deep):
    def __init__(self, num_classes, in_channels, **more):
        self_rate = torch.linspace(0, 1, 3).tolist()[1]
        super().__init__(num_classes, in_channels, **more)
        self.rate = self_rate
"""


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("nets") / "deep.py"
    path.write_text(_NETS)
    return str(path)


def _spec(name: str, **arguments: Any) -> ShapeSpec:
    spec = adapt_foreign(name, {}, (4,), 3).spec
    return ShapeSpec(backbone=name, options={**spec.options, "arguments": arguments})


@pytest.mark.parametrize("make", [build_on_meta, build_bounded])
@pytest.mark.parametrize(
    "arguments", [{"depth": 10**6}, {"width": 1 << 20, "depth": 2}, {"width": 1 << 20, "depth": 2, "catches": True}]
)
def test_construction_stops_where_a_network_gets_much_larger_than_its_file(nets: str, arguments: Any, make: Any):
    spec, made = _spec(f"{nets}:Deep", **arguments), load_module(nets).MADE
    made.clear()
    with pytest.raises(TooLarge, match="its network has far more layers or weights than the file"):
        make(spec, tensors=4, values=67)
    assert len(made) < 1000
    assert len(nn.Sequential(*[nn.Identity() for _ in range(5000)])) == 5000, "nothing else is limited"


def test_a_million_layers_of_transformers_are_not_built():
    pytest.importorskip("transformers")
    options = {"arguments": {"num_hidden_layers": 10**6, "hidden_size": 12}, "input_shape": (3, 32, 32)}
    spec = ShapeSpec(backbone="hf/vit", options={**options, "num_outputs": 4, "groups": (), "widths": ()})
    with pytest.raises(TooLarge):
        build_on_meta(spec, tensors=10, values=1000)


def test_a_class_that_reads_values_is_built_with_memory(nets: str):
    spec = _spec(f"{nets}:Rated")
    with pytest.raises(UserError, match="refuses"):
        build_on_meta(spec, tensors=4, values=67)
    assert build_bounded(spec, tensors=4, values=67).net.rate == 0.5  # type: ignore[union-attr]
    with pytest.raises(TooLarge):
        build_bounded(_spec(f"{nets}:Rated", depth=10**6), tensors=4, values=67)


@pytest.fixture(scope="module")
def small() -> Backbone:
    return build(spec_for("convnet", {"widths": (2, 2, 2, 2)}, (1, 8, 8), 4)).eval()


@pytest.mark.parametrize("kind", ["spec", "full"])
def test_an_onnx_file_has_no_large_network_built(kind: str, small: Backbone, nets: str, tmp_path: Path):
    preprocessing = Preprocessing(classes=tuple("abcd"), shape=(1, 8, 8), gain=(1.0,), bias=(0.0,))
    spec = json.loads(small.spec.to_json())
    meta = {"preprocessing": json.loads(preprocessing.to_json()), "raw_audio": False, "spec": spec, "full": spec}
    meta[kind] = json.loads(_spec(f"{nets}:Deep", depth=10**6).to_json())
    (tmp_path / "p.onnx").write_bytes(to_onnx(Deployed(small, preprocessing), meta))
    with pytest.raises(UserError, match=r"p\.onnx is damaged .its network has far more layers or weights"):
        latency([tmp_path / "p.onnx"], runs=1)
