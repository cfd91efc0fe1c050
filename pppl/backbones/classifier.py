"""The classifier of a network, its last linear layer: functions that find, replace and read it."""

import copy
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ..system.errors import UserError
from .backbone import OUTPUTS, Backbone, ShapeSpec
from .modes import evaluating

# Added to the logit of a class that must never be predicted. No logit comes near this size, and float32 still keeps
# four decimals at it.
NEVER = -1000.0


def classifier_of(network: Backbone) -> tuple[str, nn.Linear]:
    """Return the path of the classifier and the classifier: the last linear layer with one output for each class.

    Raise `UserError` if the network has no such layer.

    >>> from pppl.backbones import build, spec_for
    >>> classifier_of(build(spec_for("convnet", {}, (1, 8, 8), 10)))
    ('head', Linear(in_features=64, out_features=10, bias=True))
    """
    count = len(outputs_of(network))
    found = [(path, layer) for path, layer in network.linear_layers() if layer.out_features == count]
    if not found:
        raise UserError(
            f"{network.spec.backbone} does not end in a linear layer with {count} outputs, one for each class"
        )
    return found[-1]


def outputs_of(network: Backbone) -> tuple[int, ...]:
    """Return the class index of each of the classifier's outputs.

    >>> from pppl.backbones import build, spec_for
    >>> outputs_of(build(spec_for("convnet", {}, (1, 8, 8), 3)))
    (0, 1, 2)
    """
    options = network.spec.options
    return tuple(options[OUTPUTS]) if OUTPUTS in options else tuple(range(int(options["num_outputs"])))


def predict_classes(network: nn.Module, logits: Tensor) -> Tensor:
    """Return the predicted class, `(B,)`, for each row of logits, `(B, K)`.

    A `Backbone` with a replaced classifier maps its outputs to classes. Any other network has output k for class k.

    >>> predict_classes(nn.Linear(4, 2), torch.tensor([[0.1, 0.9], [2.0, 1.0]]))
    tensor([1, 0])
    """
    best = logits.argmax(1)
    if not isinstance(network, Backbone) or OUTPUTS not in network.spec.options:
        return best
    return torch.tensor(outputs_of(network), device=logits.device)[best]


def whole_outputs(network: nn.Module, outputs: Tensor) -> Tensor:
    """Return outputs `(B, K)` with one for each class of the data set; a class that was cut has `NEVER`.

    A network whose classifier is whole, or that has no classes, keeps its outputs.

    >>> whole_outputs(nn.Linear(4, 2), torch.tensor([[0.1, 0.9]]))
    tensor([[0.1000, 0.9000]])
    """
    if not isinstance(network, Backbone) or OUTPUTS not in network.spec.options:
        return outputs
    whole = outputs.new_full((len(outputs), int(network.spec.options["num_outputs"])), NEVER)
    whole[:, list(outputs_of(network))] = outputs
    return whole


def with_classifier(network: Backbone, weight: Tensor, bias: Tensor, outputs: Sequence[int] | None = None) -> Backbone:
    """Return a copy of `network` whose classifier has the given parameters.

    **Arguments:**

    - `weight`, `bias`: `(K, F)` and `(K,)`.
    - `outputs`: the class index of each of the K outputs. None keeps those of `network`.

    ```python
    fewer = with_classifier(network, layer.weight[:2], layer.bias[:2], outputs=[0, 1])  # classes 0 and 1 alone
    ```
    """
    path, layer = classifier_of(network)
    twin = copy.deepcopy(network)
    if outputs is not None or layer.bias is None:
        put_outputs(twin, outputs_of(network) if outputs is None else outputs)
    own = cast(nn.Linear, twin.get_submodule(path))
    own.weight, own.bias = nn.Parameter(weight.detach().clone()), nn.Parameter(bias.detach().clone())
    return twin


def correct_logits(network: Backbone, added: Tensor, *, cut: bool = False) -> Backbone:
    """Return a copy of `network` that adds `added`, `(K,)`, to its logits.

    **Arguments:**

    - `cut`: whether to remove the outputs of classes whose entry of `added` is `NEVER`.

    ```python
    corrected = correct_logits(network, torch.tensor([0.5, -0.5, NEVER]), cut=True)  # two outputs are left
    ```
    """
    _, layer = classifier_of(network)
    weight, bias = layer.weight, added if layer.bias is None else layer.bias + added
    if not cut:
        return with_classifier(network, weight, bias)
    kept = (added > NEVER).nonzero().flatten()
    outputs = [outputs_of(network)[index] for index in kept.tolist()]
    return with_classifier(network, weight[kept], bias[kept], outputs)


def put_outputs(network: Backbone, outputs: Sequence[int]) -> Backbone:
    """Replace the classifier of `network` by a fresh one, with a bias and outputs for the classes `outputs` alone.

    This changes `network` in place and returns it. Raise `ValueError` if `outputs` is empty, repeats a class, or names
    a class that the network does not have.

    >>> from pppl.backbones import build, spec_for
    >>> put_outputs(build(spec_for("convnet", {}, (1, 8, 8), 10)), [3, 7]).head
    Linear(in_features=64, out_features=2, bias=True)
    """
    path, layer = classifier_of(network)
    classes = int(network.spec.options["num_outputs"])
    whole = all(isinstance(each, int) and 0 <= each < classes for each in outputs)
    if not outputs or not whole or len(set(outputs)) != len(outputs):
        raise ValueError(f"outputs are {list(outputs)}: name one or more different classes from 0 to {classes - 1}")
    weight = layer.weight
    replaced = nn.Linear(layer.in_features, len(outputs), device=weight.device, dtype=weight.dtype)
    network.set_submodule(path, replaced.train(layer.training))
    options = {**network.spec.options, OUTPUTS: tuple(outputs)}
    network.spec = ShapeSpec(backbone=network.spec.backbone, options=options)
    return network


@torch.no_grad()
def split_classifier(network: Backbone, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the input of the classifier, `(B, F)`, and the logits, `(B, K)`, for samples `(B, C, ...)`.

    The network runs in evaluation mode and without gradients.

    >>> from pppl.backbones import build, spec_for
    >>> features, logits = split_classifier(build(spec_for("convnet", {}, (1, 8, 8), 10)), torch.zeros(5, 1, 8, 8))
    >>> features.shape, logits.shape
    (torch.Size([5, 64]), torch.Size([5, 10]))
    """
    features: list[Tensor] = []
    _, layer = classifier_of(network)
    handle = layer.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0].flatten(1)))
    try:
        with evaluating(network):
            logits = network(x)
    finally:
        handle.remove()
    return features[0], logits
