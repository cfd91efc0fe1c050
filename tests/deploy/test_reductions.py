"""Exports of networks that reduce their activations in ways of their own."""

from collections.abc import Callable

import onnx
import torch
from torch import Tensor, nn

from pppl.backbones import Backbone, ShapeSpec
from pppl.data.preprocessing import Preprocessing
from pppl.deploy import Deployed
from pppl.deploy.formats import to_int8_onnx, to_onnx
from pppl.deploy.onnx_file import open_onnx_bytes

Reduce = Callable[[Tensor], Tensor]


class _Net(Backbone):
    """A convolution, and reductions of its activations side by side: one export tells of all."""

    def __init__(self, conv: nn.Module, reductions: dict[str, Reduce]):
        super().__init__()
        self.conv, self.act, self._reductions = conv, nn.ReLU(), reductions
        self.groups, self.spec = (), ShapeSpec(backbone="net", options={"widths": ()})

    def each(self, x: Tensor) -> list[Tensor]:
        x = self.act(self.conv(x))
        return [reduce(x).flatten(1) for reduce in self._reductions.values()]

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(self.each(x), 1)


def _excited(x: Tensor) -> Tensor:
    return (x * x.mean((2, 3), keepdim=True).sigmoid()).mean((2, 3))


IMAGES: dict[str, Reduce] = {
    "mean, kept": lambda x: x - x.mean((2, 3), keepdim=True),
    "mean, not kept": lambda x: x.mean((2, 3)),
    "mean in the other order": lambda x: x.mean((3, 2)),
    "negative axes": lambda x: x.mean((-2, -1)),
    "negative axes, kept": lambda x: x * x.mean((-1, -2), keepdim=True),
    "squeeze and excitation": _excited,
    "one axis": lambda x: x.mean(2),
    "last axis, kept": lambda x: x.mean(-1, keepdim=True),
    "channels": lambda x: x.mean(1),
    "channels and rows": lambda x: x.mean((1, 2)),
    "all axes": lambda x: x.mean((1, 2, 3), keepdim=True),
    "adaptive": nn.AdaptiveAvgPool2d(1),
    "adaptive, four cells": nn.AdaptiveAvgPool2d((2, 2)),
    "adaptive maximum": nn.AdaptiveMaxPool2d(1),
    "amax": lambda x: x.amax((2, 3)),
    "amax, kept": lambda x: x + x.amax((2, 3), keepdim=True),
    "sum": lambda x: x.sum((2, 3)),
    "deviation": lambda x: x.std((2, 3), correction=0),
    "of squares": lambda x: x.square().mean((2, 3), keepdim=True).sqrt(),
    "two of three axes": lambda x: x.unflatten(1, (2, 2)).mean((2, 3)),
    "two of three axes, kept": lambda x: x.unflatten(1, (2, 2)).mean((2, 3), keepdim=True),
    "two means of one": lambda x: torch.cat([x.mean((2, 3)), x.mean((2, 3), keepdim=True).flatten(1)], 1),
}


SERIES: dict[str, Reduce] = {
    "mean": lambda x: x.mean(2),
    "kept": lambda x: x * x.mean(-1, keepdim=True),
    "both": lambda x: x.mean((1, 2))[:, None],
    "maximum": nn.AdaptiveMaxPool1d(1),
}


def _exported(conv: nn.Module, reductions: dict[str, Reduce], shape: tuple[int, ...], make: Callable) -> bytes:
    """The file; what it computes is compared with torch, reduction by reduction."""
    preprocessing = Preprocessing(classes=("a", "b", "c"), shape=shape, gain=(1.0,), bias=(0.0,))
    deployed, x = Deployed(_Net(conv, reductions).eval(), preprocessing), torch.randn(3, *shape)
    content = make(deployed, {})
    got = torch.from_numpy(open_onnx_bytes(content)(x.numpy()))
    with torch.no_grad():
        expected = deployed.network.each(x)  # type: ignore[operator]
    atol = 1e-4 if make is to_onnx else 0.1
    for name, own, other in zip(reductions, expected, got.split([part.shape[1] for part in expected], 1), strict=True):
        torch.testing.assert_close(other, own, atol=atol, rtol=0, msg=lambda text, name=name: f"{name}: {text}")
    return content


def test_every_reduction_of_images_is_exported():
    torch.manual_seed(0)
    content = _exported(nn.Conv2d(2, 4, 3, padding=1), IMAGES, (2, 6, 5), to_onnx)
    nodes = onnx.load_from_string(content).graph.node
    assert sum(node.op_type == "GlobalAveragePool" for node in nodes) >= 8


def test_every_reduction_of_series_is_exported():
    _exported(nn.Conv1d(2, 4, 3), SERIES, (2, 9), to_onnx)


def test_squeeze_and_excitation_keeps_images_in_blocks_also_with_weights_of_8_bits():
    reductions = {"squeeze and excitation": _excited}
    for make in (to_onnx, to_int8_onnx):
        nodes = onnx.load_from_string(_exported(nn.Conv2d(2, 4, 3), reductions, (2, 6, 5), make)).graph.node
        operations = [node.op_type for node in nodes]
        assert operations.count("GlobalAveragePool") == 2
        assert "ReduceMean" not in operations
