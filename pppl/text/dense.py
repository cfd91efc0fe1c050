"""Methods that train dense parameters: all of an encoder, one layer, biases, or the matrices of `peft`."""

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
from .setting import AdaptedEncoder, Setting, head_of
from .text_methods import register_text_method


def train_chosen(network: TextClassifier, setting: Setting, chosen: Callable[[str], bool]) -> AdaptedEncoder:
    """Train the head and the parameters of the encoder that a function of their name chooses. Freeze the others.

    ```python
    @register_text_method("embeddings", learning_rate=1e-3)
    def embeddings(network: TextClassifier, setting: Setting) -> AdaptedEncoder:
        return train_chosen(network, setting, lambda name: name.startswith("embeddings."))
    ```

    **Arguments:**

    - `chosen`: returns whether to train the encoder's parameter of a name.
    """
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
    return AdaptedEncoder(adapter=adapter, values=sum(p.numel() for p in trained.values()), bytes=size)


@register_text_method("full", learning_rate=5e-5)
def full(network: TextClassifier, setting: Setting) -> AdaptedEncoder:
    """Train all parameters: full fine-tuning."""
    return train_chosen(network, setting, lambda name: True)


def last_layer_of(encoder: nn.Module) -> str:
    """Return the prefix of the names of the parameters in the last layer. Raise `UserError` if there are no layers."""
    lists = [(name, module) for name, module in encoder.named_modules() if isinstance(module, nn.ModuleList)]
    if not lists:
        raise UserError("last_layer: this encoder has no list of layers; leave the method out")
    name, layers = max(lists, key=lambda pair: len(pair[1]))
    return f"{name}.{len(layers) - 1}."


@register_text_method("last_layer", learning_rate=3e-4, check=lambda encoder, _: last_layer_of(encoder))
def last_layer(network: TextClassifier, setting: Setting) -> AdaptedEncoder:
    """Train the last layer of the encoder."""
    prefix = last_layer_of(network.encoder)
    return train_chosen(network, setting, lambda name: name.startswith(prefix))


@register_text_method("bias_norm", learning_rate=1e-3)
def bias_norm(network: TextClassifier, setting: Setting) -> AdaptedEncoder:
    """Train biases (BitFit, Ben Zaken et al. 2022) and the scales of normalization layers."""
    scales = {
        f"{name}.weight" for name, module in network.encoder.named_modules() if "norm" in type(module).__name__.lower()
    }
    return train_chosen(network, setting, lambda name: name.endswith("bias") or name in scales)


# Names of the query and value projections in families of encoders. The last family has all projections in one layer.
_PROJECTIONS = (("query", "value"), ("q_lin", "v_lin"), ("query_proj", "value_proj"), ("q_proj", "v_proj"), ("Wqkv",))


def _projections(encoder: nn.Module) -> list[str]:
    linear = {name.rpartition(".")[2] for name, layer in encoder.named_modules() if isinstance(layer, nn.Linear)}
    for names in _PROJECTIONS:
        if linear.issuperset(names):
            return list(names)
    raise UserError(f"lora: none of this encoder's layers is a query projection by name ({', '.join(sorted(linear))})")


def _rank(config: str, encoder: nn.Module, endings: Sequence[str], rate: float) -> int:
    layers = (module for name, module in encoder.named_modules() if name.endswith(tuple(endings)))
    values = sum(layer.in_features + layer.out_features for layer in layers if isinstance(layer, nn.Linear))
    rank = int(rate * sum(parameter.numel() for parameter in encoder.parameters()) // max(1, values))
    if rank == 0:
        raise UserError(f"{config}: rank 1 has {values} values, more than a rate of {rate:g} allows: raise the rate")
    return rank


def _lora_rank(encoder: nn.Module, rate: float) -> int:
    """Return the rank of `lora`. Raise `UserError` if rank 1 exceeds the rate."""
    return _rank("LoraConfig", encoder, _projections(encoder), rate)


def _shira_rank(encoder: nn.Module, rate: float) -> int:
    """Return the rank of `shira`. Raise `UserError` if rank 1 exceeds the rate."""
    return _rank("ShiraConfig", encoder, [""], rate)


@register_text_method("lora", learning_rate=5e-4, check=_lora_rank)
def lora(network: TextClassifier, setting: Setting) -> AdaptedEncoder:
    """Train low-rank differences of the query and value projections (Hu et al. 2022), by `peft`."""
    targets = _projections(network.encoder)
    return _peft("LoraConfig", network, setting, targets, target_modules=targets, lora_alpha=16, lora_dropout=0.0)


@register_text_method("shira", learning_rate=5e-4, check=_shira_rank)
def shira(network: TextClassifier, setting: Setting) -> AdaptedEncoder:
    """Train sparse differences at random positions of all linear layers (SHiRA, Bhardwaj et al. 2024), by `peft`."""
    with torch.sparse.check_sparse_tensor_invariants(enable=False):  # off by default, but torch warns unless it is set
        return _peft("ShiraConfig", network, setting, [""], target_modules="all-linear", random_seed=setting.seed)


def _peft(
    config: str, network: TextClassifier, setting: Setting, endings: Sequence[str], **options: Any
) -> AdaptedEncoder:
    """Train an adapter of `peft`, of the largest rank that keeps its values within `rate` of the encoder's.

    **Arguments:**

    - `config`: the name of a class of configurations in `peft`.
    - `endings`: the endings of the names of the linear layers that get a difference. A difference has
      `inputs + outputs` values for each rank.
    """
    import peft

    config_class = getattr(peft, config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft 0.21 asks transformers 5 in a way that it deprecates
        rank = _rank(config, network.encoder, endings, setting.rate)
        try:
            model: Any = peft.get_peft_model(network.encoder, config_class(r=rank, **options))
        except ValueError as error:
            raise UserError(f"{config} of rank {rank}: {error}") from error
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    adapter = Together(Dense(trained, learning_rate=setting.learning_rate), head_of(network, setting))
    setting.train(adapter, setting.steps)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        size = (Path(folder) / "adapter_model.safetensors").stat().st_size
    head = _count_trained(network.head)
    return AdaptedEncoder(adapter=adapter, values=_count_trained(model) + head, bytes=size + 4 * head)


def _count_trained(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
