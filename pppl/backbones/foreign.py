"""Networks from elsewhere by name: from transformers, timm, torchvision, or a class that can be imported.

| name | network | reads |
|---|---|---|
| `package.module:Class`, `file.py:Class` | a class of networks | samples `(B, C, ...)` |
| `hf/FOLDER`, `hf/TYPE`, `hf/ORGANIZATION/MODEL` | a classifier of `transformers` | images, sounds, token ids |
| `timm/NAME`, `torchvision/NAME` | a network of these libraries | images |
"""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..system.errors import UserError, first_line, unknown
from ..system.plugins import load_module, split_place
from .adapted import Adapted
from .backbone import Backbone, ShapeSpec
from .examples import FAILURES
from .groups import ChannelGroup
from .libraries import import_library
from .modes import evaluating
from .surgery import slice_network
from .transformers_models import Reader, find_model, make_model

# Parameters that say how many outputs or input channels a network has, as libraries name them.
_OUTPUTS = ("num_outputs", "num_classes", "num_labels", "n_classes")
_INPUTS = ("in_channels", "in_chans", "num_channels")
_CHANNELS = 3  # of the images that networks of torchvision read


def is_foreign(name: str) -> bool:
    """Return whether a backbone's name is that of a network from elsewhere.

    >>> is_foreign("timm/resnet18"), is_foreign("my.nets:Net"), is_foreign("resnet20")
    (True, True, False)
    """
    return ":" in name or "/" in name


def adapt_foreign(name: str, arguments: Mapping[str, Any], input_shape: tuple[int, ...], num_outputs: int) -> Adapted:
    """Return a network from elsewhere, whose groups of channels are found.

    The spec of one of `transformers` holds its configuration, so that it can be built without a folder or the hub.

    Raise `UserError` if there is no such network, if it refuses an argument or the data, or if it has another number
    of outputs.
    """
    built, arguments = find_model(name, arguments) if _is_of_transformers(name) else (name, arguments)
    options = {"arguments": dict(arguments), "input_shape": tuple(input_shape), "num_outputs": num_outputs}
    module = _construct(built, **options)
    example = _example(module, options["input_shape"])
    network = Adapted(module, example, name=name)
    with evaluating(network), torch.no_grad():
        outputs = network(example)
    if not isinstance(outputs, Tensor) or tuple(outputs.shape[1:]) != (num_outputs,):
        what = f"shape {tuple(outputs.shape[1:])}" if isinstance(outputs, Tensor) else type(outputs).__name__
        raise UserError(
            f"backbone {name} gives {what} for a sample, but {num_outputs} outputs are asked for: let its constructor "
            f"take them as {_OUTPUTS[1]}, or state them in its options"
        )
    groups = tuple(group.to_dict() for group in network.groups)
    network.spec = ShapeSpec(backbone=built, options={**options, "groups": groups, "widths": network.widths})
    return network


def build_foreign(spec: ShapeSpec) -> Backbone:
    """Build the network that `adapt_foreign` described, with fresh parameters and the channels of its widths.

    Raise `UserError` if a part of the description is missing, or if the network does not have such groups.
    """
    try:
        options = {key: spec.options[key] for key in ("arguments", "input_shape", "num_outputs")}
        groups = tuple(ChannelGroup.from_dict(tree) for tree in spec.options["groups"])
        module = _construct(spec.backbone, **options)
        network = Adapted.with_groups(module, groups, spec)
        widths = network.count_channels()
        if tuple(spec.options["widths"]) == widths:
            return network
        network.spec = spec.with_widths(widths)
        kept = zip(widths, spec.options["widths"], strict=True)
        return slice_network(network, [torch.arange(most, device="cpu") < width for most, width in kept])
    except UserError:
        raise
    except FAILURES as error:
        raise UserError(f"backbone {spec.backbone} does not fit its description: {first_line(error)}") from error


def plain_module(backbone: Backbone) -> nn.Module:
    """Return a network as its library has it: files of weights have these names.

    >>> net = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))
    >>> plain_module(Adapted(net, torch.zeros(1, 4))) is net
    True
    """
    module = backbone.net if isinstance(backbone, Adapted) else backbone
    return module.model if isinstance(module, Reader) else module


def source_of(name: str) -> object:
    """Return what a network from elsewhere is made of, which its results depend on: a class, or a configuration."""
    if split_place(name)[0]:
        return class_of(name)
    return partial(_construct, *find_model(name, {})) if _is_of_transformers(name) else _construct


def class_of(name: str) -> type[nn.Module]:
    """Return the class of networks that `place:Class` names.

    Raise `UserError` if its module cannot be imported, or if there is no such class.
    """
    place, attribute = split_place(name)
    module = load_module(place)
    if not hasattr(module, attribute):
        raise unknown(f"network of {place}", attribute, [key for key, value in vars(module).items() if _is_net(value)])
    if not _is_net(found := getattr(module, attribute)):
        raise UserError(f"backbone {name} is {type(found).__name__}, no network: name a class derived from nn.Module")
    return found


def _is_net(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, nn.Module)


def _is_of_transformers(name: str) -> bool:
    return name.startswith("hf/") and not split_place(name)[0]


def _construct(name: str, arguments: Mapping[str, Any], input_shape: tuple[int, ...], num_outputs: int) -> nn.Module:
    """Return a new network."""
    if _is_of_transformers(name):
        return make_model(name, arguments, input_shape, num_outputs).train()
    if split_place(name)[0]:
        function: Callable[..., nn.Module] = class_of(name)
        given = {**_data_arguments(function, input_shape, num_outputs), **arguments}
    else:
        function, given = _of_library(name, input_shape, num_outputs)
        given |= arguments
    try:
        return function(**given).train()
    except FAILURES as error:
        raise UserError(f"backbone {name} refuses {given}: {first_line(error)}") from error


def _data_arguments(function: Callable[..., Any], input_shape: tuple[int, ...], num_outputs: int) -> dict[str, int]:
    """Return the arguments that describe the data, as far as a constructor has them."""
    parameters = inspect.signature(function).parameters
    return {
        **{name: num_outputs for name in _OUTPUTS if name in parameters},
        **{name: input_shape[0] for name in _INPUTS if name in parameters},
    }


def _of_library(
    name: str, input_shape: tuple[int, ...], num_outputs: int
) -> tuple[Callable[..., nn.Module], dict[str, Any]]:
    """Return the function of timm or torchvision that makes a network, and the arguments that describe the data."""
    library, _, model = name.partition("/")
    if library == "timm":
        create = import_library(name, "timm").create_model
        return partial(create, model), {"num_classes": num_outputs, "in_chans": input_shape[0]}
    if library != "torchvision":
        raise unknown("library of networks", library, ("hf", "timm", "torchvision", "package.module:Class"))
    models = import_library(name, "torchvision").models
    if model not in (known := models.list_models(module=models)):  # others load weights, and are no classifiers
        raise unknown("classifier of torchvision", model, known)
    if input_shape[0] != _CHANNELS:
        raise UserError(
            f"backbone {name} reads {_CHANNELS} channels, but the data have {input_shape[0]}: take one of timm, which "
            f"reads any number"
        )
    return partial(models.get_model, model), {"num_classes": num_outputs}


def _example(module: nn.Module, input_shape: tuple[int, ...]) -> Tensor:
    """Return an example of a network's input: token ids if it reads them."""
    example = torch.rand(2, *input_shape, generator=torch.Generator().manual_seed(0))
    return module.example(example) if isinstance(module, Reader) else example
