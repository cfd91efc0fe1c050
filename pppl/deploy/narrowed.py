"""Exports of narrower networks for timing, cut out of a wider network's export. Each export would take seconds."""

from typing import Any

from .graph import Deployed
from .onnx_file import seal

_LAYERS = {"Conv", "BatchNormalization", "Gemm"}
# Operations that do not depend on the number of channels if they read no weights.
_WITHOUT_WIDTHS = {"Add", "AveragePool", "Concat", "Flatten", "GlobalAveragePool", "MaxPool", "ReduceMean", "Relu"}


def narrow(content: bytes, deployed: Deployed) -> bytes | None:
    """Build an ONNX file with the graph of `deployed` and arbitrary weights, for timing only.

    It is as fast as `to_onnx(deployed)`. Its outputs are meaningless, since its weights come from the wider network.

    ```python
    session = open_onnx_bytes(narrow(to_onnx(full, {}), personal) or to_onnx(personal, {}))
    ```

    **Arguments:**

    - `content`: the export of a network that differs from `deployed` only in the widths of its spec.

    **Returns:** the file's content, or None if the graph holds widths outside the weights of its layers.
    """
    import onnx

    model, state = onnx.load_from_string(content), deployed.state_dict()
    weights = {value.name: value for value in model.graph.initializer if value.data_type != onnx.TensorProto.INT64}
    channels: dict[str, int] = {}  # number of channels of each activation, by name
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
    del model.graph.value_info[:]  # these are the shapes in the wider network
    return seal(model, {})


def _narrow(weight: Any, node: Any, deployed: Deployed) -> int:
    """Cut the weight of a convolution or linear layer to its size in `deployed`, and return its number of outputs."""
    layer: Any = deployed.get_submodule(weight.name.removesuffix(".weight"))
    _cut(weight, layer.weight.shape)
    for attribute in node.attribute:
        if attribute.name == "group":
            attribute.i = layer.groups
    return len(layer.weight)


def _make_own(graph: Any, node: Any, vector: Any, size: int) -> None:
    """Give a node its own bias, scale or statistic, cut to `size`. In an export, nodes share equal ones."""
    own = graph.initializer.add()
    own.CopyFrom(vector)
    own.name = f"{node.output[0]}_{vector.name}"
    _cut(own, (size,))
    node.input[:] = [own.name if name == vector.name else name for name in node.input]


def _cut(weight: Any, shape: tuple[int, ...]) -> None:
    from onnx import numpy_helper

    kept = numpy_helper.to_array(weight)[tuple(slice(size) for size in shape)]
    weight.CopyFrom(numpy_helper.from_array(kept.copy(), weight.name))
