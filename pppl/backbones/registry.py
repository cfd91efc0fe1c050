"""Backbones by name."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import UserError, unknown
from .base import Backbone, ShapeSpec
from .convnet import ConvNet

BACKBONES: dict[str, Callable[..., Backbone]] = {"convnet": ConvNet}


def build(spec: ShapeSpec) -> Backbone:
    """The network that `spec` describes, with fresh parameters.

    Raises `UserError` for an unknown backbone or option, or a value that its constructor refuses.
    """
    if spec.backbone not in BACKBONES:
        raise unknown("backbone", spec.backbone, BACKBONES)
    constructor = BACKBONES[spec.backbone]
    for option in spec.options:
        parameters = inspect.signature(constructor).parameters
        if option not in parameters:
            raise unknown(f"option of backbone {spec.backbone}", option, parameters)
    try:
        return constructor(**spec.options)
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(f"backbone {spec.backbone} refuses {dict(spec.options)}: {error}") from error


def spec_for(name: str, options: Mapping[str, Any], input_shape: tuple[int, ...], num_classes: int) -> ShapeSpec:
    """The spec of a backbone for data of one shape, `(C, H, W)` or `(C, T)`."""
    data = {"in_channels": input_shape[0], "num_classes": num_classes, "dims": len(input_shape) - 1}
    return ShapeSpec(backbone=name, options={**data, **options})
