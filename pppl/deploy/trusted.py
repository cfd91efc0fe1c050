"""Networks that a file describes: what of them may be built, whoever has written the file.

A file chooses neither code nor anything to fetch. A class must come from a module or file that the user has loaded.
Every network is made by numbers and by a few names of its parts.
"""

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PureWindowsPath
from typing import Any, cast

from ..backbones import ShapeSpec, is_foreign, source_of_backbone
from ..backbones.backbone import OUTPUTS, RANKS
from ..backbones.foreign import class_of
from ..system.errors import UserError
from ..system.plugins import find_loaded, split_place

# A word names a part of a network. It is neither a path nor an address, nor a model of the hub.
_WORD = re.compile(r"[A-Za-z0-9_-]{1,40}")
_MODEL = re.compile(r"(hf|timm|torchvision)/[A-Za-z0-9_.-]{1,80}")
# Switches that fetch weights or code. Everything else that is fetched is named by text.
_FETCHING = re.compile(
    "pretrain(?!ed_window_size|ing_tp)|^weights|remote|download|^load_|^use_.*kernels$", re.IGNORECASE
)
_LOADING = ("hf/mra", "hf/yoso")  # types of `transformers` that load compiled code of the hub as they are built
# What networks look up in tables of their own by these arguments: functions of activation, and kinds of layers,
# shortcuts, pooling, normalization and embeddings.
_NAMES_PARTS = re.compile(
    "act|activation|act_layer|act_func|act_fn|activation_function|dense_act_fn|feed_forward_proj|afn|"
    "shortcut|norm_layer|norm_rel_ebd|feat_extract_norm|global_pool|classifier_pooling|global_padding|"
    "qkv_projection_method|ctc_loss_reduction|stem_act_func|[a-z_]+_act|[a-z_]+_activation|"
    "(layer|attention|attn|pooling|summary|normalization|position_embedding|position_embeddings|downsampling|rope)_type|"
    "layer_types|mlp_layer_types|layers_block_type"
)
_ATTENTION = {"attn_implementation": ("eager", "sdpa")}  # other values name kernels of the hub
_NESTED = "rope_parameters"  # the one nested setting: of rotary embeddings, for each kind of layer
_ONNX = ".onnx"
# The largest number, the longest list and the most lists in lists: millions of tokens, tens of thousands of groups.
_LARGEST, _LONGEST, _DEEPEST = 1 << 24, 1 << 16, 8


def trusted(spec: ShapeSpec, path: Path) -> ShapeSpec:
    """Return the spec that a file holds as it may be built here: a class is named as the user has loaded it.

    **Arguments:**

    - `path`: the file, for messages.

    Raise `UserError` if it names a class that the user has not loaded, if that is no network, if an argument could name
    a file, an address or a model of the hub, or if a number is larger than that of any network.
    """
    if not isinstance(spec.backbone, str):
        raise _damaged(path, "its network has no name")
    for key, value in spec.options.items():
        if _is_endless(value):
            raise _damaged(path, f"its network has a larger or deeper {key!r:.80} than any")
    if not is_foreign(spec.backbone):
        chosen = {key: value for key, value in spec.options.items() if key not in (RANKS, OUTPUTS)}
        return _checked(spec, chosen, path)
    arguments = spec.options.get("arguments")
    if not isinstance(arguments, dict):
        raise _damaged(path, "its network has no arguments")
    sizes = (*_as_tuple(spec.options.get("input_shape")), spec.options.get("num_outputs"))
    if not all(type(size) is int and size > 0 for size in sizes):
        raise _damaged(path, f"its network is for data of shape {sizes!s:.80}")
    place, attribute = split_place(spec.backbone)
    if place:
        return _checked(dataclasses.replace(spec, backbone=_loaded(place, attribute, path)), arguments, path)
    if not _MODEL.fullmatch(spec.backbone):
        raise UserError(f"{path}: its network {spec.backbone!r:.80} is no model of a library by name: {_remedy(path)}")
    if spec.backbone in _LOADING:
        what = f"its network {spec.backbone} loads code of the hub, which a file does not choose"
        raise UserError(f"{path}: {what}: {_remedy(path)}")
    for key, value in arguments.items():
        _require(_may_choose(key, value), key, value, path)
    return spec


def _checked(spec: ShapeSpec, arguments: Mapping[str, Any], path: Path) -> ShapeSpec:
    """Return the spec of a registered network or of a class, whose code the user has loaded.

    What its constructor takes by default is nothing that the file chooses.
    """
    try:
        parameters = inspect.signature(cast(Callable[..., Any], source_of_backbone(spec.backbone))).parameters
    except UserError as error:
        raise _damaged(path, str(error)) from error
    for key, value in arguments.items():
        default = parameters[key].default if key in parameters else None
        is_default = type(value) is type(default) and value == default
        _require(is_default or _is_harmless(key, value, nested=True), key, value, path)
    return spec


def _require(is_chosen: bool, key: str, value: Any, path: Path) -> None:
    if sum(abs(each) for each in _leaves(value) if isinstance(each, int)) > _LARGEST:
        raise _damaged(path, f"its network has {key!r:.80} = {value!r:.80}, more than any")
    if not is_chosen:
        raise UserError(
            f"{path}: its network has {key!r:.80} = {value!r:.80}, which a file does not choose, since it may name "
            f"code or something to fetch: {_remedy(path)}"
        )


def _loaded(place: str, attribute: str, path: Path) -> str:
    """Return the name of a class of networks that the user has loaded."""
    if not (loaded := find_loaded(place, attribute)):
        here = f" (or the path of {PureWindowsPath(place).name} here)" if place.endswith(".py") else ""
        raise UserError(
            f"{path}: its network {attribute} is code of {place}, which a file does not choose: give `--plugin {place}`"
            f"{here}, in Python call `pppl.load_plugins([{place!r}])` before it is read, or {_remedy(path)}"
        )
    try:
        class_of(name := f"{loaded}:{attribute}")  # refuses what is no network
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return name


def _may_choose(key: str, value: Any) -> bool:
    """Return whether a file may choose an argument of a library's network."""
    if key in _ATTENTION:
        return value in _ATTENTION[key]
    if key == _NESTED and isinstance(value, dict):
        return all(_may_choose(_NESTED if isinstance(each, dict) else inner, each) for inner, each in value.items())
    return _is_harmless(key, value)


def _is_harmless(key: str, value: Any, *, nested: bool = False) -> bool:
    """Return whether an argument is made of numbers, booleans, None and names of parts, and switches on no fetching.

    **Arguments:**

    - `nested`: whether mappings may be among them.
    """
    if value and _FETCHING.search(key):
        return False
    if isinstance(value, dict):
        return nested and all(_is_harmless(inner, each, nested=True) for inner, each in value.items())
    if isinstance(value, (list, tuple)):
        return all(_is_harmless(key, each, nested=nested) for each in value)
    if isinstance(value, str):
        return bool(_NAMES_PARTS.fullmatch(key) and _WORD.fullmatch(value))
    return value is None or isinstance(value, (bool, int, float))


def _is_endless(value: Any, deeper: int = _DEEPEST) -> bool:
    """Return whether a value holds more than any network needs: numbers, entries of lists, or lists in lists."""
    if isinstance(value, (dict, list, tuple)):
        inner = value.values() if isinstance(value, dict) else value
        return not deeper or len(inner) > _LONGEST or any(_is_endless(each, deeper - 1) for each in inner)
    return isinstance(value, int) and abs(value) > _LARGEST


def _leaves(value: Any) -> Iterator[Any]:
    """Yield what nested mappings and lists hold."""
    if isinstance(value, (dict, list, tuple)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _leaves(each)
    else:
        yield value


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _damaged(path: Path, what: str) -> UserError:
    return UserError(f"{path} is damaged ({what}): fetch or make it again")


def _remedy(path: Path) -> str:
    """Return how a file can be used without building its network in PyTorch."""
    return "use it with `pppl predict`" if path.suffix == _ONNX else "use the ONNX file, which needs no code"
