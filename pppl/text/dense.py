"""Ways to adapt that train parameters as they are: all, a layer, biases, and the matrices of `peft`."""

import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from ..system.errors import UserError
from ..training.adapters import Dense, Together
from .encoder import TextClassifier
from .setting import Adapted, Setting, head_of
from .text_methods import register_text_method


def train_chosen(network: TextClassifier, setting: Setting, chosen: Callable[[str], bool]) -> Adapted:
    """Trains the parameters of the encoder that a function of their name chooses; the others are frozen."""
    for name, parameter in network.encoder.named_parameters():
        parameter.requires_grad_(chosen(name))
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    adapter = Together(
        Dense([p for name, p in trained.items() if not name.startswith("head.")], learning_rate=setting.learning_rate),
        head_of(network, setting),
    )
    setting.train(adapter, setting.steps)
    tensors = {name: parameter.detach().contiguous() for name, parameter in trained.items()}
    size = len(safetensors.torch.save(tensors))
    return Adapted(adapter=adapter, values=sum(p.numel() for p in trained.values()), bytes=size)


@register_text_method("full", learning_rate=5e-5)
def full(network: TextClassifier, setting: Setting) -> Adapted:
    """Full fine-tuning."""
    return train_chosen(network, setting, lambda name: True)


def last_layer_of(encoder: nn.Module) -> str:
    """What the names of its parameters begin with."""
    lists = [(name, module) for name, module in encoder.named_modules() if isinstance(module, nn.ModuleList)]
    if not lists:
        raise UserError("last_layer: this encoder has no list of layers; leave the method out")
    name, layers = max(lists, key=lambda pair: len(pair[1]))
    return f"{name}.{len(layers) - 1}."


@register_text_method("last_layer", learning_rate=3e-4, check=lambda encoder, _: last_layer_of(encoder))
def last_layer(network: TextClassifier, setting: Setting) -> Adapted:
    """The encoder's last layer."""
    prefix = last_layer_of(network.encoder)
    return train_chosen(network, setting, lambda key: key.startswith(prefix))


@register_text_method("bias_norm", learning_rate=1e-3)
def bias_norm(network: TextClassifier, setting: Setting) -> Adapted:
    """Biases (BitFit, Ben Zaken et al. 2022) and the scales of normalization layers."""
    scales = {
        f"{name}.weight" for name, module in network.encoder.named_modules() if "norm" in type(module).__name__.lower()
    }
    return train_chosen(network, setting, lambda name: name.endswith("bias") or name in scales)


# What families of encoders call their query and value projections; one that has all three in one layer comes last.
_PROJECTIONS = (("query", "value"), ("q_lin", "v_lin"), ("query_proj", "value_proj"), ("q_proj", "v_proj"), ("Wqkv",))


def _projections(encoder: nn.Module) -> list[str]:
    linear = {name.rpartition(".")[2] for name, layer in encoder.named_modules() if isinstance(layer, nn.Linear)}
    for names in _PROJECTIONS:
        if linear.issuperset(names):
            return list(names)
    raise UserError(f"lora: none of this encoder's layers is a query projection by name ({', '.join(sorted(linear))})")


def _rank(config: str, encoder: nn.Module, endings: Sequence[str], rate: float) -> int:
    layers = (module for name, module in encoder.named_modules() if name.endswith(tuple(endings)))
    one = sum(layer.in_features + layer.out_features for layer in layers if isinstance(layer, nn.Linear))
    rank = int(rate * sum(parameter.numel() for parameter in encoder.parameters()) // max(1, one))
    if rank == 0:
        raise UserError(f"{config}: rank 1 has {one} values, more than a rate of {rate:g} allows: raise it")
    return rank


def _lora_rank(encoder: nn.Module, rate: float) -> int:
    """Return the rank of `lora`. Raise `UserError` if there is none."""
    return _rank("LoraConfig", encoder, _projections(encoder), rate)


def _shira_rank(encoder: nn.Module, rate: float) -> int:
    """Return the rank of `shira`. Raise `UserError` if there is none."""
    return _rank("ShiraConfig", encoder, [""], rate)


@register_text_method("lora", learning_rate=5e-4, check=_lora_rank)
def lora(network: TextClassifier, setting: Setting) -> Adapted:
    """Low-rank differences of the query and value projections (Hu et al. 2022), by `peft`."""
    targets = _projections(network.encoder)
    return _peft("LoraConfig", network, setting, targets, target_modules=targets, lora_alpha=16, lora_dropout=0.0)


@register_text_method("shira", learning_rate=5e-4, check=_shira_rank)
def shira(network: TextClassifier, setting: Setting) -> Adapted:
    """Sparse differences at random positions of all linear layers (SHiRA, Bhardwaj et al. 2024), by `peft`."""
    torch.sparse.check_sparse_tensor_invariants.disable()  # as it is by default, but without a warning
    return _peft("ShiraConfig", network, setting, [""], target_modules="all-linear", random_seed=setting.seed)


def _peft(config: str, network: TextClassifier, setting: Setting, endings: Sequence[str], **options: Any) -> Adapted:
    """The largest rank whose values are at most `rate` of the encoder's.

    **Arguments:**

    - `endings`: of the names of the linear layers that get a difference, of `inputs + outputs` values for each rank.
    """
    import peft

    make = getattr(peft, config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft 0.21 asks transformers 5 in a way that it deprecates
        rank = _rank(config, network.encoder, endings, setting.rate)
        try:
            model: Any = peft.get_peft_model(network.encoder, make(r=rank, **options))
        except ValueError as error:
            raise UserError(f"{config} of rank {rank}: {error}") from error
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    adapter = Together(Dense(trained, learning_rate=setting.learning_rate), head_of(network, setting))
    setting.train(adapter, setting.steps)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        size = (Path(folder) / "adapter_model.safetensors").stat().st_size
    own = _trained(network.head)
    return Adapted(adapter=adapter, values=_trained(model) + own, bytes=size + 4 * own)


def _trained(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
