"""Ways to give one encoder many tasks: diff pruning and its peers, trained through the same loop.

A method is a function that trains a network in place and says what a task's own file holds. Each task has its own head,
which every method trains, and all train for the same number of steps, in one stage or in two.
"""

import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from ..diff import (
    Delta,
    FixedDiff,
    Flat,
    RelaxedDiff,
    base_sha256,
    delta_bytes,
    delta_of,
    roles,
    top_positions,
)
from ..errors import UserError
from ..training.adapters import Adapter, Dense, Fixed, Relaxed, Together
from .encoder import TextClassifier

# Of all steps, how many choose what is changed, where a method has two stages; and their learning rate, as a fraction
# of the second stage's, since they move everything.
_FIRST_STAGE, _FIRST_RATE = 0.2, 0.1
# The gates' learning rate times the steps of the first stage. It closes what nothing holds open in short training as
# in long.
_GATES_WAY = 12.0


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a method is given besides the network.

    - `learning_rate`: of what it changes in the encoder; `head_rate`: of the head.
    - `rate`: fraction of the encoder's values that a sparse method changes.
    - `compiled`: whether the passes of diff pruning are compiled.
    - `steps`: all that a method has.
    - `train`: trains through an adapter for so many steps, on the batches that come next.
    - `each_gradient`: goes through some of the training examples, and calls a function after the backward pass of each.
    """

    learning_rate: float
    head_rate: float
    rate: float
    seed: int
    compiled: bool
    steps: int
    train: Callable[[Adapter, int], None]
    each_gradient: Callable[[Callable[[], None]], None]

    @property
    def first_steps(self) -> int:
        """Of a method that has two stages."""
        return max(1, round(_FIRST_STAGE * self.steps))


@dataclass(frozen=True, kw_only=True)
class Adapted:
    """What came of it: how it is evaluated, how many values are a task's own, the size of their file, and what is in
    it where that is a sparse difference.
    """

    adapter: Adapter
    values: int
    bytes: int
    delta: Delta | None = None


@dataclass(frozen=True)
class Method:
    """What it does, and the learning rate that a search for its own begins with."""

    adapt: Callable[[TextClassifier, Setting], Adapted]
    learning_rate: float


def _chosen(network: TextClassifier, setting: Setting, chosen: Callable[[str], bool]) -> Adapted:
    """Trains the parameters of the encoder that a function of their name chooses; the others are frozen."""
    for name, parameter in network.encoder.named_parameters():
        parameter.requires_grad_(chosen(name))
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    adapter = Together(
        Dense([p for name, p in trained.items() if not name.startswith("head.")], learning_rate=setting.learning_rate),
        _head(network, setting),
    )
    setting.train(adapter, setting.steps)
    tensors = {name: parameter.detach().contiguous() for name, parameter in trained.items()}
    size = len(safetensors.torch.save(tensors))
    return Adapted(adapter=adapter, values=sum(p.numel() for p in trained.values()), bytes=size)


def _head(network: TextClassifier, setting: Setting) -> Dense:
    return Dense([*network.head.parameters()], learning_rate=setting.head_rate)


def full(network: TextClassifier, setting: Setting) -> Adapted:
    """Full fine-tuning."""
    return _chosen(network, setting, lambda name: True)


def last_layer(network: TextClassifier, setting: Setting) -> Adapted:
    """The encoder's last layer."""
    lists = [(name, module) for name, module in network.encoder.named_modules() if isinstance(module, nn.ModuleList)]
    if not lists:
        raise UserError("last_layer: this encoder has no list of layers; leave the method out")
    name, layers = max(lists, key=lambda pair: len(pair[1]))
    return _chosen(network, setting, lambda key: key.startswith(f"{name}.{len(layers) - 1}."))


def bias_norm(network: TextClassifier, setting: Setting) -> Adapted:
    """Biases (BitFit, Ben Zaken et al. 2022) and the scales of normalization layers."""
    scales = {
        f"{name}.weight" for name, module in network.encoder.named_modules() if "norm" in type(module).__name__.lower()
    }
    return _chosen(network, setting, lambda name: name.endswith("bias") or name in scales)


def lora(network: TextClassifier, setting: Setting) -> Adapted:
    """Low-rank differences of the query and value projections (Hu et al. 2022), by `peft`."""
    targets = ["query", "value"]
    return _peft("LoraConfig", network, setting, targets, target_modules=targets, lora_alpha=16, lora_dropout=0.0)


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
        one = sum(layer.in_features + layer.out_features for layer in _linear(network.encoder, endings))
        rank = int(setting.rate * sum(parameter.numel() for parameter in network.encoder.parameters()) // max(1, one))
        if rank == 0:
            raise UserError(f"{config}: rank 1 has {one} values, more than a rate of {setting.rate:g} allows: raise it")
        try:
            model: Any = peft.get_peft_model(network.encoder, make(r=rank, **options))
        except ValueError as error:
            raise UserError(f"{config} of rank {rank}: {error}") from error
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    adapter = Together(Dense(trained, learning_rate=setting.learning_rate), _head(network, setting))
    setting.train(adapter, setting.steps)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        size = (Path(folder) / "adapter_model.safetensors").stat().st_size
    own = _trained(network.head)
    return Adapted(adapter=adapter, values=_trained(model) + own, bytes=size + 4 * own)


def _linear(encoder: nn.Module, endings: Sequence[str]) -> Iterator[nn.Linear]:
    for name, module in encoder.named_modules():
        if isinstance(module, nn.Linear) and name.endswith(tuple(endings)):
            yield module


def _trained(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def diff(network: TextClassifier, setting: Setting, *, structured: bool = True) -> Adapted:
    """Diff pruning (Guo et al. 2021): gates choose, the best are projected to the rate and trained on."""
    flat, sha256 = _flat(network)
    relaxed = RelaxedDiff(flat, structured=structured, seed=setting.seed, compiled=setting.compiled)
    gate_rate = _GATES_WAY / setting.first_steps
    first = Relaxed(relaxed, learning_rate=_FIRST_RATE * setting.learning_rate, gate_rate=gate_rate)
    setting.train(Together(first, _head(network, setting)), setting.first_steps)
    positions = top_positions(relaxed.importance(), flat, setting.rate)
    start = relaxed.difference().view(-1)[positions]
    del relaxed, first  # six copies of the parameters
    return _fixed(network, setting, flat, sha256, positions, start, steps=setting.steps - setting.first_steps)


def diff_elementwise(network: TextClassifier, setting: Setting) -> Adapted:
    """Diff pruning without gates of whole tensors."""
    return diff(network, setting, structured=False)


def gradient_mask(network: TextClassifier, setting: Setting) -> Adapted:
    """Positions of the largest mean gradient before training (SPEFT, 2024)."""
    flat, sha256 = _flat(network)
    positions = top_positions(_gathered(network, setting, flat, lambda g: g).abs(), flat, setting.rate)
    return _fixed(network, setting, flat, sha256, positions)


def fisher_mask(network: TextClassifier, setting: Setting) -> Adapted:
    """Positions of the largest mean squared gradient before training (FISH mask, Sung et al. 2021)."""
    flat, sha256 = _flat(network)
    positions = top_positions(_gathered(network, setting, flat, torch.square), flat, setting.rate)
    return _fixed(network, setting, flat, sha256, positions)


def magnitude_mask(network: TextClassifier, setting: Setting) -> Adapted:
    """Positions that full fine-tuning moves most, then trained from the base (LT-SFT, Ansell et al. 2022)."""
    flat, sha256 = _flat(network)
    base = [part.clone() for part in flat.parts]
    encoder = Dense([*flat.parameters.values()], learning_rate=_FIRST_RATE * setting.learning_rate)
    setting.train(Together(encoder, _head(network, setting)), setting.first_steps)
    positions = top_positions(_taken_back(flat, base), flat, setting.rate)
    del encoder, base  # three copies of the parameters
    return _fixed(network, setting, flat, sha256, positions, steps=setting.steps - setting.first_steps)


def _taken_back(flat: Flat, base: list[Tensor]) -> Tensor:
    """Puts the base back, and returns how far each value was from it, `(blocks, BLOCK)`."""
    moved = torch.cat([(part - start).abs().float() for part, start in zip(flat.parts, base, strict=True)])
    for part, start in zip(flat.parts, base, strict=True):
        part.copy_(start)
    return moved


def _flat(network: TextClassifier) -> tuple[Flat, str]:
    of = roles(network, dense=["head.*"])
    return Flat(network, of.diff), base_sha256(network, own=of.dense)


def _gathered(network: TextClassifier, setting: Setting, flat: Flat, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Sum of a function of the gradients over examples, `(blocks, BLOCK)`."""
    totals = [torch.zeros_like(part) for part in flat.parts]
    views = dict(flat.views(totals))

    def add() -> None:
        for name, parameter in flat.parameters.items():
            if parameter.grad is not None:
                views[name].add_(function(parameter.grad))
        network.zero_grad()

    setting.each_gradient(add)
    return torch.cat([total.float() for total in totals])


def _fixed(
    network: TextClassifier,
    setting: Setting,
    flat: Flat,
    sha256: str,
    positions: Tensor,
    start: Tensor | None = None,
    steps: int | None = None,
) -> Adapted:
    """Trains the values at some positions, from `start` (zeros by default), for `steps` (all)."""
    fixed = FixedDiff(flat, positions, start)
    adapter = Together(Fixed(fixed, learning_rate=setting.learning_rate), _head(network, setting))
    setting.train(adapter, setting.steps if steps is None else steps)
    head = {name: parameter for name, parameter in network.named_parameters() if name.startswith("head.")}
    delta = delta_of(flat, positions, fixed.values, state=head, base_sha256=sha256)
    values = len(positions) + sum(parameter.numel() for parameter in head.values())
    return Adapted(adapter=adapter, values=values, bytes=delta_bytes(delta), delta=delta)


METHODS: dict[str, Method] = {
    "full": Method(full, 5e-5),
    "last_layer": Method(last_layer, 3e-4),
    "bias_norm": Method(bias_norm, 1e-3),
    "lora": Method(lora, 5e-4),
    "shira": Method(shira, 5e-4),
    "gradient_mask": Method(gradient_mask, 5e-4),
    "fisher_mask": Method(fisher_mask, 5e-4),
    "magnitude_mask": Method(magnitude_mask, 5e-4),
    "diff": Method(diff, 5e-4),
    "diff_elementwise": Method(diff_elementwise, 5e-4),
}
