"""Backbones by name."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ..system.errors import UserError, unknown
from .backbone import OUTPUTS, RANKS, Backbone, ShapeSpec
from .basis_conv import put_bases
from .bc_resnet import BCResNet
from .classifier import put_outputs
from .convnet import ConvNet
from .ds_cnn import DSCNN
from .resnet import CifarResNet, ResNet18
from .tang_lin import TangLinNet
from .tc_resnet import TCResNet

# What a constructor takes by position is fixed by the name; its keywords are the backbone's options.
BACKBONES: dict[str, Callable[..., Backbone]] = {
    "convnet": ConvNet,
    "resnet20": partial(CifarResNet, 20),
    "resnet32": partial(CifarResNet, 32),
    "resnet44": partial(CifarResNet, 44),
    "resnet56": partial(CifarResNet, 56),
    "resnet110": partial(CifarResNet, 110),
    "resnet18": ResNet18,
    "res8": partial(TangLinNet, "res8", pool=(4, 3)),
    "res15": partial(TangLinNet, "res15"),
    "res26": partial(TangLinNet, "res26", pool=(2, 2)),
    "res8_narrow": partial(TangLinNet, "res8_narrow", width=19, pool=(4, 3)),
    "res15_narrow": partial(TangLinNet, "res15_narrow", width=19),
    "res26_narrow": partial(TangLinNet, "res26_narrow", width=19, pool=(2, 2)),
    "ds_cnn_s": partial(DSCNN, "ds_cnn_s", width=64),
    "ds_cnn_m": partial(DSCNN, "ds_cnn_m", width=172),
    "ds_cnn_l": partial(DSCNN, "ds_cnn_l", width=276),
    "tc_resnet8": partial(TCResNet, "tc_resnet8"),
    "tc_resnet14": partial(TCResNet, "tc_resnet14"),
    "bc_resnet": BCResNet,
}
# Options of networks that were made of others, which no constructor takes.
_LATER = (RANKS, OUTPUTS)
_TAKEN = {1: "series (C, T)", 2: "images or spectrograms (C, H, W)"}


def build(spec: ShapeSpec) -> Backbone:
    """The network that `spec` describes, with fresh parameters.

    Raises `UserError` for an unknown backbone or option, or a value that its constructor refuses.
    """
    constructor = _constructor(spec.backbone)
    parameters = inspect.signature(constructor).parameters
    options = {option: value for option, value in spec.options.items() if option not in _LATER}
    for option in options:
        if option not in parameters:
            raise unknown(f"option of backbone {spec.backbone}", option, parameters)
        if isinstance(parameters[option].default, bool) and not isinstance(spec.options[option], bool):
            raise UserError(f"option {option} of backbone {spec.backbone} is {spec.options[option]!r}: true or false")
    try:
        network = put_bases(constructor(**options), spec.options.get(RANKS, {}))
        return put_outputs(network, spec.options[OUTPUTS]) if OUTPUTS in spec.options else network
    except (TypeError, ValueError, KeyError, RuntimeError, OverflowError) as error:
        raise UserError(f"backbone {spec.backbone} refuses {dict(spec.options)}: {error}") from error


def spec_for(name: str, options: Mapping[str, Any], input_shape: tuple[int, ...], num_classes: int) -> ShapeSpec:
    """The spec of a backbone for data of one shape, `(C, H, W)`, `(C, T, F)` or `(C, T)`.

    Raises `UserError` for an unknown backbone, and where the network cannot take such data.
    """
    constructor = _constructor(name)
    dims = len(input_shape) - 1
    if dims not in _class_of(constructor).dims:
        held = _TAKEN.get(dims, f"of shape {input_shape}")
        raise UserError(f"backbone {name} takes {_taken(constructor)}, the data are {held}: use convnet")
    data = {"in_channels": input_shape[0], "num_classes": num_classes, "dims": dims, "bands": input_shape[-1]}
    parameters = inspect.signature(constructor).parameters
    for later in _LATER:
        if later in options:
            raise unknown(f"option of backbone {name}", later, parameters)
    spec = ShapeSpec(backbone=name, options={**{k: v for k, v in data.items() if k in parameters}, **options})
    for option in data:
        if spec.options.get(option, data[option]) != data[option]:
            given = f"{option} = {spec.options[option]}"
            raise UserError(f"backbone {name} has option {given}, the data have {data[option]}: leave it out")
    return spec


def _constructor(name: str) -> Callable[..., Backbone]:
    if name not in BACKBONES:
        raise unknown("backbone", name, BACKBONES)
    return BACKBONES[name]


def _class_of(constructor: Callable[..., Backbone]) -> type[Backbone]:
    made = constructor.func if isinstance(constructor, partial) else constructor
    assert isinstance(made, type)
    return made


def _taken(constructor: Callable[..., Backbone]) -> str:
    return " and ".join(_TAKEN[dims] for dims in _class_of(constructor).dims)
