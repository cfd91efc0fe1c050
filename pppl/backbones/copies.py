"""Copies of a tree of modules that share its tensors, also where attributes hold layers beside the tree."""

import copy
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, TypeVar
from weakref import CallableProxyType, ProxyType, ref

import torch
from torch import Tensor, nn

from ..system.errors import first_line
from .backbone import Backbone
from .cuts import CannotCut

Module = TypeVar("Module", bound=nn.Module)
# The copy of each module.
Copies = dict[nn.Module, nn.Module]
# Attributes of a module that hold its tensors and submodules, and those that describe a backbone.
_TREE = {"_parameters", "_buffers", "_modules", "_non_persistent_buffers_set"}
# What a module has from those who run it: Lightning's trainer, and what `Module.compile` made. Copies have none.
_OUTSIDE = {"_trainer", "_fabric", "_compiled_call_impl"}
_DESCRIPTION = {"spec", "groups", "left_out"}
_ATOMS = (type(None), bool, int, float, str, bytes, type, Tensor, torch.dtype, torch.device)
_ATOMS += (ModuleType, BuiltinFunctionType, ProxyType, CallableProxyType)
_QUICK = frozenset(_ATOMS)  # most attributes are of these classes themselves, which is faster to see
_HOW = "make it an attribute itself, or use nn.ModuleList"


def copy_modules(backbone: Backbone) -> tuple[Backbone, Copies]:
    """Return a copy of the tree of modules, with every tensor shared, and the copy of each module.

    Lists, dictionaries, bound methods and other objects that hold layers hold their copies in the copy.

    Raise `UserError` if a layer is held where no copy can follow, or if it has tensors and is no submodule: neither
    training nor files would have them.
    """
    tree, beside = {*backbone.modules()}, False
    for path, layer, followed in _held(backbone):
        has_tensors = any(True for each in layer.modules() if each._parameters or each._buffers)
        if not followed and (layer in tree or has_tensors):
            raise CannotCut(
                backbone, f"{path!r} holds a {type(layer).__name__} by a function or weak reference: {_HOW}"
            )
        if layer not in tree and has_tensors:
            raise CannotCut(backbone, f"{path!r} holds a {type(layer).__name__} that is no submodule: {_HOW}")
        beside |= layer in tree
    if beside:
        return _deep_copy(backbone)
    copies: Copies = {}
    return _plain_copy(backbone, copies), copies


def _plain_copy(module: Module, copies: Copies) -> Module:
    """Copy modules that only the tree holds, and add the copies to `copies`: several times as fast as a deep copy.

    A module that occurs at several places is copied once.
    """
    if module in copies:
        return copies[module]  # type: ignore[return-value] (a copy is of its original's class)
    twin = object.__new__(type(module))
    # Also lists: a recurrent layer has one of its weights.
    twin.__dict__.update({k: v.copy() if isinstance(v, dict | list) else v for k, v in _state(module).items()})
    copies[module] = twin
    for name, child in module._modules.items():
        if child is not None:
            twin.add_module(name, _plain_copy(child, copies))
    return twin


def _deep_copy(backbone: Backbone) -> tuple[Backbone, Copies]:
    """Copy modules that objects beside the tree hold, too, as the graph of a `GraphModule` does."""
    kept = (*backbone.parameters(), *backbone.buffers(), backbone.groups, backbone.spec)
    try:
        twin = copy.deepcopy(backbone, {id(each): each for each in kept})
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise CannotCut(backbone, f"an attribute that holds layers cannot be copied ({first_line(error)})") from error
    twins = dict(twin.named_modules(remove_duplicate=False))
    # A `GraphModule` leaves out what its graph does not call.
    return twin, {module: twins[path] for path, module in backbone.named_modules() if path in twins}


def _state(module: nn.Module) -> dict[str, Any]:
    """Return the attributes that a copy has."""
    return {name: None if name in _OUTSIDE else value for name, value in vars(module).items()}


def _held(backbone: Backbone) -> Iterator[tuple[str, nn.Module, bool]]:
    """Yield the layers that attributes hold beside the tree: the attribute, the layer, if a deep copy follows there."""
    seen: dict[int, Any] = {}  # by place, and held, so that no place is taken twice
    for path, module in backbone.named_modules():
        left_out = _TREE | _DESCRIPTION if module is backbone else _TREE
        for name, value in _state(module).items():
            empty = isinstance(value, (dict, list, tuple)) and not value
            if type(value) not in _QUICK and not empty and name not in left_out:
                for layer, followed in _layers_in(value, seen):
                    yield f"{path}.{name}".removeprefix("."), layer, followed


def _layers_in(value: Any, seen: dict[int, Any]) -> Iterator[tuple[nn.Module, bool]]:
    """Yield the layers that a value leads to, and whether a deep copy of the value leads to their copies."""
    ahead: list[tuple[Any, bool]] = [(value, True)]  # no recursion: nodes of a graph are a long chain
    while ahead:
        value, followed = ahead.pop()
        if type(value) in _QUICK or id(value) in seen:
            continue
        if isinstance(value, nn.Module):
            yield value, followed
        elif not isinstance(value, _ATOMS):
            seen[id(value)] = value
            followed = followed and not isinstance(value, (FunctionType, ref))
            ahead += [(part, followed) for part in _parts(value)]


def _parts(value: Any) -> Iterable[Any]:
    """Return what an object holds, as far as a call of it or of its methods may reach it."""
    if isinstance(value, (list, tuple, set, frozenset, deque)):
        return value
    if isinstance(value, Mapping):
        return (*value.keys(), *value.values())
    if isinstance(value, MethodType):
        return (value.__self__,)
    if isinstance(value, partial):
        return (value.func, value.args, value.keywords)
    if isinstance(value, FunctionType):
        return (*_inside(value), value.__defaults__, value.__kwdefaults__)
    return (value(),) if isinstance(value, ref) else (getattr(value, "__dict__", None),)


def _inside(function: FunctionType) -> Iterator[Any]:
    """Yield the values that a function took along from where it was defined."""
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not set yet
            continue
