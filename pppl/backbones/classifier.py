"""The last layer of a network: found, replaced, and read."""

import copy
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ..system.errors import UserError
from .backbone import OUTPUTS, Backbone, ShapeSpec
from .modes import evaluating

# What is added to the logit of a class that is never answered: no logit comes near, and float32 keeps four decimals
# beside it.
NEVER = -1000.0


def classifier_of(network: Backbone) -> tuple[str, nn.Linear]:
    """Return the path and the layer that gives the logits: the last linear one with an output for each class.

    Raises `UserError` where the network has none.

    ```python
    path, layer = classifier_of(build(spec_for("convnet", {}, (1, 8, 8), 10)))  # "head", Linear(64, 10)
    ```
    """
    count = len(outputs_of(network))
    found = [(path, layer) for path, layer in network.linear_layers() if layer.out_features == count]
    if not found:
        raise UserError(f"{network.spec.backbone} does not end in a linear layer with {count} outputs, one for a class")
    return found[-1]


def outputs_of(network: Backbone) -> tuple[int, ...]:
    """Return the class of each output, by index."""
    options = network.spec.options
    return tuple(options[OUTPUTS]) if OUTPUTS in options else tuple(range(int(options["num_classes"])))


def predict_classes(network: nn.Module, logits: Tensor) -> Tensor:
    """Return the class, `(B,)`, that each row of the network's logits, `(B, K)`, is the highest for."""
    best = logits.argmax(1)
    if not isinstance(network, Backbone) or OUTPUTS not in network.spec.options:
        return best
    return torch.tensor(outputs_of(network), device=logits.device)[best]


def with_classifier(network: Backbone, weight: Tensor, bias: Tensor, outputs: Sequence[int] | None = None) -> Backbone:
    """Return a copy of `network` whose classifier has these parameters.

    **Arguments:**

    - `weight`, `bias`: `(K, F)` and `(K,)`.
    - `outputs`: the K classes, by index, where some are left out.
    """
    path, layer = classifier_of(network)
    twin = copy.deepcopy(network)
    if outputs is not None or layer.bias is None:
        put_outputs(twin, outputs_of(network) if outputs is None else outputs)
    own = cast(nn.Linear, twin.get_submodule(path))
    own.weight, own.bias = nn.Parameter(weight.detach().clone()), nn.Parameter(bias.detach().clone())
    return twin


def correct_logits(network: Backbone, added: Tensor, *, cut: bool = False) -> Backbone:
    """Return a copy of `network` whose logits have `added`, `(K,)`, in them.

    **Arguments:**

    - `cut`: whether classes to which `NEVER` is added have no output.
    """
    _, layer = classifier_of(network)
    weight, bias = layer.weight, added if layer.bias is None else layer.bias + added
    if not cut:
        return with_classifier(network, weight, bias)
    kept = (added > NEVER).nonzero().flatten()
    outputs = [outputs_of(network)[index] for index in kept.tolist()]
    return with_classifier(network, weight[kept], bias[kept], outputs)


def put_outputs(network: Backbone, outputs: Sequence[int]) -> Backbone:
    """Put a classifier with a bias in place, for these classes alone; `network` itself, changed.

    Raises `ValueError` where they are no classes of the network.
    """
    path, layer = classifier_of(network)
    classes = int(network.spec.options["num_classes"])
    whole = all(isinstance(each, int) and 0 <= each < classes for each in outputs)
    if not outputs or not whole or len(set(outputs)) != len(outputs):
        raise ValueError(f"outputs are {list(outputs)}: different classes from 0 to {classes - 1}")
    weight = layer.weight
    replaced = nn.Linear(layer.in_features, len(outputs), device=weight.device, dtype=weight.dtype)
    network.set_submodule(path, replaced.train(layer.training))
    options = {**network.spec.options, OUTPUTS: tuple(outputs)}
    network.spec = ShapeSpec(backbone=network.spec.backbone, options=options)
    return network


@torch.no_grad()
def split_classifier(network: Backbone, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return what the classifier is given, `(B, F)`, and its logits, `(B, K)`, of samples `(B, C, ...)`."""
    features: list[Tensor] = []
    _, layer = classifier_of(network)
    handle = layer.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0].flatten(1)))
    try:
        with evaluating(network):
            logits = network(x)
    finally:
        handle.remove()
    return features[0], logits
