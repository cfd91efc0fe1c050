"""The registry of backbones by name, and functions that build them."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from ..system.errors import UserError, unknown
from ..system.plugins import load_plugins
from ..system.registries import Registry, place
from .backbone import OUTPUTS, RANKS, Backbone, ShapeSpec, channels_out
from .basis_conv import put_bases
from .classifier import put_outputs
from .foreign import adapt_foreign, build_foreign, is_foreign, source_of

BACKBONES: Registry[Callable[..., Backbone]] = Registry("backbone")
Constructor = TypeVar("Constructor", bound=Callable[..., Backbone])


def register_backbone(name: str) -> Callable[[Constructor], Constructor]:
    """Return a decorator that adds a `Backbone` class, or a function or `partial` that returns one.

    The constructor's keyword arguments are the backbone's options. `in_channels`, `num_outputs`, `dims` and `bands`
    are filled in from the data if it has them. `widths`, the number of channels of each group, must be among them:
    a pruned network is built with fewer. The arguments are recorded as the `spec` of the network.

    ```python
    @register_backbone("mine")
    class Mine(Backbone):
        def __init__(self, *, in_channels, num_outputs, widths=(16, 32)): ...
    ```

    Raise `UserError` if the name is taken, or if the constructor does not take `widths`.
    """

    def add(constructor: Constructor) -> Constructor:
        BACKBONES.check(name, constructor, Backbone)
        if "widths" not in inspect.signature(constructor).parameters:
            raise UserError(f"backbone {name!r} ({place(constructor)}) takes no widths: add the channels per group")
        BACKBONES.add(name, constructor)
        return constructor

    return add


# Options that no constructor takes, since they describe changes to a network that is already built.
_LATER = (RANKS, OUTPUTS)
_TAKEN = {1: "series (C, T)", 2: "images or spectrograms (C, H, W)"}


def build(spec: ShapeSpec) -> Backbone:
    """Build the network that `spec` describes, with fresh parameters.

    Raise `UserError` if the backbone or an option is unknown, or if the constructor rejects a value.

    >>> spec = ShapeSpec(backbone="convnet", options={"in_channels": 1, "num_outputs": 10, "widths": (8, 16)})
    >>> build(spec).head
    Linear(in_features=16, out_features=10, bias=True)
    """
    if is_foreign(spec.backbone):
        return _changed(build_foreign(spec), spec)
    constructor = _constructor(spec.backbone)
    parameters = inspect.signature(constructor).parameters
    options = {option: value for option, value in spec.options.items() if option not in _LATER}
    for option in options:
        if option not in parameters:
            raise unknown(f"option of backbone {spec.backbone}", option, parameters)
        if isinstance(parameters[option].default, bool) and not isinstance(spec.options[option], bool):
            raise UserError(
                f"option {option} of backbone {spec.backbone} is {spec.options[option]!r}: write true or false"
            )
    try:
        network = constructor(**options)
        if not hasattr(network, "groups"):
            raise ValueError(f"{type(network).__name__} ({place(type(network))}) sets no groups of channels")
        network.spec = ShapeSpec(backbone=spec.backbone, options=_recorded(constructor, options, network))
        return _changed(network, spec)
    except (TypeError, ValueError, KeyError, RuntimeError, OverflowError) as error:
        raise UserError(f"backbone {spec.backbone} refuses {dict(spec.options)}: {error}") from error


def _changed(network: Backbone, spec: ShapeSpec) -> Backbone:
    """Return a network with the changes that a spec describes beyond its constructor's arguments."""
    network = put_bases(network, spec.options.get(RANKS, {}))
    return put_outputs(network, spec.options[OUTPUTS]) if OUTPUTS in spec.options else network


def spec_for(name: str, options: Mapping[str, Any], input_shape: tuple[int, ...], num_outputs: int) -> ShapeSpec:
    """Return the spec of a backbone for samples of shape `(C, H, W)`, `(C, T, F)` or `(C, T)`.

    Raise `UserError` if the backbone is unknown, or if it cannot take such samples.

    >>> spec_for("convnet", {"widths": (8, 16)}, (3, 32, 32), 10).options
    {'in_channels': 3, 'num_outputs': 10, 'dims': 2, 'widths': (8, 16)}
    """
    if is_foreign(name):
        return adapt_foreign(name, options, input_shape, num_outputs).spec
    constructor = _constructor(name)
    dims = len(input_shape) - 1
    if dims not in _dims_of(constructor):
        held = _TAKEN.get(dims, f"of shape {input_shape}")
        raise UserError(f"backbone {name} takes {_taken(constructor)}, but the data are {held}: use convnet")
    data = {"in_channels": input_shape[0], "num_outputs": num_outputs, "dims": dims, "bands": input_shape[-1]}
    parameters = inspect.signature(constructor).parameters
    for later in _LATER:
        if later in options:
            raise unknown(f"option of backbone {name}", later, parameters)
    spec = ShapeSpec(backbone=name, options={**{k: v for k, v in data.items() if k in parameters}, **options})
    for option in data:
        if spec.options.get(option, data[option]) != data[option]:
            given = f"{option} = {spec.options[option]}"
            raise UserError(f"backbone {name} has option {given}, but the data have {data[option]}: leave it out")
    return spec


def source_of_backbone(name: str) -> object:
    """Return the class or function that a backbone comes from; what rows depend on.

    >>> source_of_backbone("convnet").__name__
    'ConvNet'
    """
    return source_of(name) if is_foreign(name) else _constructor(name)


def _recorded(constructor: Callable[..., Backbone], options: Mapping[str, Any], network: Backbone) -> dict[str, Any]:
    """Return all arguments that a network was built with; `widths` as its groups have them."""
    bound = inspect.signature(constructor).bind(**options)
    bound.apply_defaults()
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in bound.arguments.items()}
    return plain | {"widths": tuple(channels_out(network.get_submodule(each.producer)) for each in network.groups)}


def _constructor(name: str) -> Callable[..., Backbone]:
    load_plugins(())
    return BACKBONES.find(name)


def _dims_of(constructor: Callable[..., Backbone]) -> tuple[int, ...]:
    """Return which samples a network takes; all of them for a function, which says so itself."""
    made = constructor.func if isinstance(constructor, partial) else constructor
    return made.dims if isinstance(made, type) and issubclass(made, Backbone) else tuple(_TAKEN)


def _taken(constructor: Callable[..., Backbone]) -> str:
    return " and ".join(_TAKEN[dims] for dims in _dims_of(constructor))
