"""Networks from elsewhere by name: from transformers, timm, torchvision, or a class that can be imported.

| name | network | reads |
|---|---|---|
| `package.module:Class`, `file.py:Class` | a class, or a function that returns a network | samples `(B, C, ...)` |
| `hf/FOLDER`, `hf/MODEL` | a classifier of `transformers`, by its `config.json` or type | images, sounds, token ids |
| `timm/NAME`, `torchvision/NAME` | a network of these libraries | images |
"""

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..system.errors import UserError, unknown
from ..system.files import expand
from ..system.plugins import load_module
from .adapted import Adapted
from .backbone import Backbone, ShapeSpec
from .groups import ChannelGroup
from .modes import evaluating
from .surgery import slice_network

# Parameters that say how many outputs or input channels a network has, as libraries name them.
_OUTPUTS = ("num_outputs", "num_classes", "num_labels", "n_classes")
_INPUTS = ("in_channels", "in_chans", "num_channels")
# The heads of `transformers`, and whether such a network reads samples as token ids, or without their one channel.
_HEADS = {"ImageClassification": "pixels", "AudioClassification": "sound", "SequenceClassification": "tokens"}


def is_foreign(name: str) -> bool:
    """Return whether a backbone's name is that of a network from elsewhere.

    >>> is_foreign("timm/resnet18"), is_foreign("my.nets:Net"), is_foreign("resnet20")
    (True, True, False)
    """
    return ":" in name or "/" in name


def adapt_foreign(name: str, arguments: Mapping[str, Any], input_shape: tuple[int, ...], num_outputs: int) -> Adapted:
    """Return a network from elsewhere, whose groups of channels are found.

    Raise `UserError` if there is no such network, if it refuses an argument or the data, or if it has another number
    of outputs.
    """
    options = {"arguments": dict(arguments), "input_shape": tuple(input_shape), "num_outputs": num_outputs}
    module, example = _construct(name, **options)
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
    network.spec = ShapeSpec(backbone=name, options={**options, "groups": groups, "widths": network.widths})
    return network


def build_foreign(spec: ShapeSpec) -> Backbone:
    """Build the network that `adapt_foreign` described, with fresh parameters and the channels of its widths."""
    options = {key: spec.options[key] for key in ("arguments", "input_shape", "num_outputs")}
    module, _ = _construct(spec.backbone, **options)
    groups = tuple(ChannelGroup.from_dict(tree) for tree in spec.options["groups"])
    network = Adapted.with_groups(module, groups, spec)
    widths = network.count_channels()
    if tuple(spec.options["widths"]) == widths:
        return network
    network.spec = spec.with_widths(widths)
    kept = zip(widths, spec.options["widths"], strict=True)
    return slice_network(network, [torch.arange(most, device="cpu") < width for most, width in kept])


def plain_module(backbone: Backbone) -> nn.Module:
    """Return a network as its library has it: files of weights have these names.

    >>> net = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))
    >>> plain_module(Adapted(net, torch.zeros(1, 4))) is net
    True
    """
    module = backbone.net if isinstance(backbone, Adapted) else backbone
    return module.model if isinstance(module, _Reader) else module


def source_of(name: str) -> object:
    """Return what a network from elsewhere is made of, whose source its results depend on."""
    return _named(name) if ":" in name else _construct


def _construct(
    name: str, arguments: Mapping[str, Any], input_shape: tuple[int, ...], num_outputs: int
) -> tuple[nn.Module, Any]:
    """Return a new network, and an example of its input."""
    library, _, rest = name.partition("/")
    example = torch.rand(2, *input_shape, generator=torch.Generator().manual_seed(0))
    if ":" in name:
        function = _named(name)
    elif library == "hf":
        return _transformers(name, rest, arguments, num_outputs, example)
    elif library == "timm":
        function = _library(name, "timm").create_model
    elif library == "torchvision":
        function = _library(name, "torchvision").models.get_model
    else:
        raise unknown("library of networks", library, ("hf", "timm", "torchvision", "package.module:Class"))
    given = {**_data_arguments(function, input_shape, num_outputs), **arguments}
    try:
        module = function(**given) if ":" in name else function(rest, **{"num_classes": num_outputs, **given})
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(f"backbone {name} refuses {given}: {error}") from error
    if not isinstance(module, nn.Module):
        raise UserError(f"backbone {name} gives {type(module).__name__}, not a network (nn.Module)")
    return module.train(), example


def _data_arguments(function: Callable[..., Any], input_shape: tuple[int, ...], num_outputs: int) -> dict[str, int]:
    """Return the arguments that describe the data, as far as a constructor has them."""
    parameters = inspect.signature(function).parameters
    return {
        **{name: num_outputs for name in _OUTPUTS if name in parameters},
        **{name: input_shape[0] for name in _INPUTS if name in parameters},
    }


def _named(name: str) -> Callable[..., Any]:
    """Return the class or function that `module:name` names."""
    place, _, attribute = name.partition(":")
    module = load_module(place)
    if not callable(found := getattr(module, attribute, None)):
        raise unknown(f"network of {place}", attribute, [key for key, value in vars(module).items() if callable(value)])
    return found


def _library(name: str, module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(f"backbone {name} needs {module}: pip install {module}") from error


def _transformers(
    name: str, model: str, arguments: Mapping[str, Any], num_outputs: int, example: Tensor
) -> tuple[nn.Module, Any]:
    """Return a classifier of `transformers` with random weights."""
    if "trust_remote_code" in arguments:
        raise UserError(f"backbone {name}: trust_remote_code would run code of the model's folder: leave it out")
    transformers = _library(name, "transformers")
    options = {"num_labels": num_outputs, **arguments}
    try:
        if not expand(model).is_dir() and model in transformers.CONFIG_MAPPING:
            config = transformers.AutoConfig.for_model(model, **options)
        else:
            config = transformers.AutoConfig.from_pretrained(expand(model), **options)
        config.architectures = config.architectures or []  # some folders lack them
        for head, reads in _HEADS.items():
            auto = getattr(transformers, f"AutoModelFor{head}")
            if type(config) in auto._model_mapping:
                return _Reader(auto.from_config(config), reads).train(), _example(reads, example, config)
    except (OSError, ValueError, TypeError, RuntimeError, KeyError, ZeroDivisionError) as error:
        hint = ": name a folder with config.json, or a type of model such as resnet or vit"
        where = "" if expand(model).is_dir() or model in transformers.CONFIG_MAPPING else hint
        raise UserError(f"backbone {name} refuses {options}: {str(error).partition(chr(10))[0]}{where}") from error
    raise UserError(f"backbone {name}: transformers has no classifier for {config.model_type}")


def _example(reads: str, example: Tensor, config: Any) -> Tensor:
    """Return an example of token ids if that is what a network reads."""
    return (example * (config.vocab_size - 1)).floor() + 1 if reads == "tokens" else example


class _Reader(nn.Module):
    """A network of `transformers` that reads samples as they are in a data set, `(B, C, ...)`."""

    def __init__(self, model: nn.Module, reads: str):
        super().__init__()
        self.model, self.reads = model, reads

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, `(B, num_outputs)`."""
        if self.reads == "tokens":  # (B, 1, T), padded with zeros
            ids = x[:, 0].long()
            return self.model(input_ids=ids, attention_mask=(ids > 0).long()).logits
        return self.model(x if self.reads == "pixels" else x[:, 0]).logits
