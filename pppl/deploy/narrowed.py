"""The export of a network of fewer channels, cut out of a wider one's without exporting again, which takes seconds."""

from typing import Any

from .graph import Deployed
from .onnx_file import seal

_LAYERS = {"Conv", "BatchNormalization", "Gemm"}
# Operations that are the same for any number of channels, where they read no weights.
_WITHOUT_WIDTHS = {"Add", "AveragePool", "Concat", "Flatten", "GlobalAveragePool", "MaxPool", "ReduceMean", "Relu"}


def narrow(content: bytes, deployed: Deployed) -> bytes | None:
    """What `to_onnx` makes of `deployed`, but for the values of weights, which are some of the wider network's: it is
    as fast, and computes something else.

    **Arguments:**

    - `content`: the export of a network that differs from `deployed` only in the widths of its spec.

    **Returns:** None where the graph tells widths elsewhere than in the weights of its layers.
    """
    import onnx

    model, state = onnx.load_from_string(content), deployed.state_dict()
    weights = {value.name: value for value in model.graph.initializer if value.data_type != onnx.TensorProto.INT64}
    channels: dict[str, int] = {}  # of what flows through the graph, by name
    first = next(index for index, node in enumerate(model.graph.node) if node.op_type in _LAYERS)
    for node in model.graph.node[first:]:
        vectors = [name for name in node.input if name in weights]
        if node.op_type in ("Conv", "Gemm") and node.input[1] in state:
            vectors.remove(node.input[1])
            out = _narrow(weights[node.input[1]], node, deployed)
        elif node.op_type == "BatchNormalization" or (node.op_type in _WITHOUT_WIDTHS and not vectors):
            parts = node.input if node.op_type == "Concat" else node.input[:1]
            if not channels.keys() >= set(parts):
                return None
            out = sum(channels[name] for name in parts)
        else:
            return None
        for name in vectors:
            _make_own(model.graph, node, weights[name], out)
        channels[node.output[0]] = out
    del model.graph.value_info[:]  # told of the wider network
    return seal(model, {})


def _narrow(weight: Any, node: Any, deployed: Deployed) -> int:
    """Makes the weight of a convolution or linear layer as small as that of `deployed`; its outputs."""
    layer: Any = deployed.get_submodule(weight.name.removesuffix(".weight"))
    _cut(weight, layer.weight.shape)
    for attribute in node.attribute:
        if attribute.name == "group":
            attribute.i = layer.groups
    return len(layer.weight)


def _make_own(graph: Any, node: Any, vector: Any, size: int) -> None:
    """Gives a layer a bias, scale or statistic of its own, as layers share those that are equal."""
    own = graph.initializer.add()
    own.CopyFrom(vector)
    own.name = f"{node.output[0]}_{vector.name}"
    _cut(own, (size,))
    node.input[:] = [own.name if name == vector.name else name for name in node.input]


def _cut(weight: Any, shape: tuple[int, ...]) -> None:
    from onnx import numpy_helper

    kept = numpy_helper.to_array(weight)[tuple(slice(size) for size in shape)]
    weight.CopyFrom(numpy_helper.from_array(kept.copy(), weight.name))
