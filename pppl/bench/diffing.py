"""Benchmarks of diff pruning: time, memory and bytes, against full fine-tuning and `peft`."""

import copy
import multiprocessing
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..diff import (
    Delta,
    DeltaFile,
    DeltaStore,
    FixedDiff,
    Flat,
    RelaxedDiff,
    base_sha256,
    delta_of,
    roles,
    top_positions,
    write_delta,
)
from ..diff.codec import encode, entropy_bits
from ..diff.flat import BLOCK
from ..system.memory import PeakMemory, release_memory, resident_bytes
from ..text.encoder import TextClassifier
from ..training.adapters import Adapter, Dense, Fixed, Relaxed, Together
from .ratio import Measured, paired_ratio

_ENCODER, _RATE, _RUNS = "minilm-l6", 0.005, 7


def measure() -> Iterator[Measured]:
    """Yield all measurements of diff pruning on MiniLM-L6, with batches of 16 x 64 tokens.

    Raise `UserError` if the extra `text` is not installed.
    """
    yield from _steps()
    yield from _memory()
    yield from _bytes()


def _batch(size: int = 16, length: int = 64) -> tuple[dict[str, Tensor], Tensor]:
    ids = torch.randint(1000, 20000, (size, length), generator=torch.Generator().manual_seed(0))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, torch.arange(size) % 2


def _stepper(network: nn.Module, adapter: Adapter) -> Callable[[], None]:
    inputs, targets = _batch()

    def step() -> None:
        adapter.sample()
        F.cross_entropy(network(inputs), targets).backward()
        adapter.step(1.0)

    return step


def _steps() -> Iterator[Measured]:
    network = TextClassifier(_ENCODER, 2).train()
    plain = copy.deepcopy(network)
    full = _stepper(plain, Dense([*plain.parameters()], learning_rate=1e-5))
    peer = "a step of full fine-tuning with AdamW"
    flat = Flat(network, roles(network, dense=["head.*"]).diff)
    head = Dense([*network.head.parameters()], learning_rate=1e-3)
    for compiled, runs, goal in ((True, _RUNS, "<= 1.5"), (False, 3, "<= 2.7")):
        relaxed = Relaxed(RelaxedDiff(flat, compiled=compiled), learning_rate=1e-3, gate_rate=0.1)
        ratio = paired_ratio(_stepper(network, Together(relaxed, head)), full, runs=runs, warm_up=2)
        yield Measured(f"diff: first stage, {'' if compiled else 'not '}compiled", ratio, peer, goal)
    positions = top_positions(torch.rand(flat.blocks, BLOCK), flat, _RATE)
    fixed = Fixed(FixedDiff(flat, positions), learning_rate=1e-3)
    ratio = paired_ratio(_stepper(network, Together(fixed, head)), full, runs=_RUNS, warm_up=2)
    yield Measured("diff: fixed mask", ratio, peer, "<= 1.15")


def _memory() -> Iterator[Measured]:
    """Yield the memory of diff pruning, compiled or not.

    Each is measured in its own process, where nothing else takes memory. Both processes run at once.
    """
    context, running = multiprocessing.get_context("spawn"), []
    for compiled in (True, False):
        receive, send = context.Pipe(duplex=False)
        process = context.Process(target=_measure_memory, args=(send, compiled))
        process.start()
        send.close()
        running.append((compiled, process, receive))
    for compiled, process, receive in running:
        counted, between, peak = receive.recv()
        process.join()
        how = "compiled" if compiled else "not compiled"
        if compiled:
            peer = "the parameters' own size; full fine-tuning keeps 4, the public code of diff pruning 11"
            yield Measured("diff: copies kept, counted", counted, peer, "<= 7")
        yield Measured(f"diff: between steps, {how}", between, "the parameters' own size, resident memory", "<= 7.25")
        peer = "the parameters' own size, with a step's weights and gradient, or the projection"
        yield Measured(f"diff: at the peak, {how}", peak, peer, "<= 11")


def _measure_memory(connection: Any, compiled: bool) -> None:
    _stages(compiled)  # a first time, since some things are set up only once, such as compilers
    connection.send(_stages(compiled))


def _stages(compiled: bool) -> tuple[float, float, float]:
    """Return how many copies of the parameters are kept: counted, in memory between steps, and at the peak.

    The peak includes the projection.
    """
    with PeakMemory() as memory:
        before = resident_bytes("VmRSS")
        network = TextClassifier(_ENCODER, 2).eval()
        flat = Flat(network, roles(network, dense=["head.*"]).diff)
        relaxed = RelaxedDiff(flat, compiled=compiled)
        inputs, targets = _batch(2, 8)  # hardly any activations
        for _ in range(3):
            relaxed.sample()
            F.cross_entropy(network(inputs), targets).backward()
            relaxed.step(learning_rate=1e-3, gate_rate=0.1)
        own = [value for value in vars(relaxed).values() if isinstance(value, Tensor)]
        kept = [part for part in (*flat.parts, *own, *relaxed._moments) if part.numel() == relaxed.w.numel()]
        release_memory()
        between = resident_bytes("VmRSS") - before
        top_positions(relaxed.importance(), flat, _RATE)
    size = relaxed.w.nbytes
    return sum(part.nbytes for part in kept) / size, between / size, memory.bytes / size


def _bytes() -> Iterator[Measured]:
    network = TextClassifier(_ENCODER, 2).eval()
    state = copy.deepcopy(network.state_dict())
    with tempfile.TemporaryDirectory() as folder:
        shira, masks = _shira(Path(folder))
        of = roles(network, dense=["head.*"])
        sha256, flat = base_sha256(network, own=of.dense), Flat(network, of.diff)
        delta = Delta(
            shapes={name: slot.shape for name, slot in flat.slots.items()},
            positions=masks,
            values={name: torch.randn(len(where)) for name, where in masks.items()},
            state={},
            base_sha256=sha256,
        )
        pairs = [(flat.slots[name].size, where.numpy()) for name, where in masks.items()]
        bits = sum(8 * len(encode(where, size)[1]) for size, where in pairs)
        bound = sum(entropy_bits(size, len(where)) for size, where in pairs)
        yield Measured("diff: bits of the positions", bits / bound, "log2 of the ways to choose them", "<= 1.02")
        for dtype, goal in ((torch.float16, ">= 3.5"), (torch.float32, ">= 2")):
            write_delta(Path(folder) / "same", delta, dtype)
            ratio = shira / (Path(folder) / "same").stat().st_size
            kind = str(dtype).removeprefix("torch.")
            yield Measured(
                f"diff: SHiRA's file, {kind}", ratio, "a delta file of the same positions; peft's has float32", goal
            )
        store = DeltaStore(network, dense=["head.*"])
        for seed, name in enumerate("ab"):
            torch.manual_seed(seed)
            positions = top_positions(torch.rand(flat.blocks, BLOCK), flat, _RATE)
            task = delta_of(flat, positions, torch.randn(len(positions)), state={}, base_sha256=sha256)
            write_delta(Path(folder) / name, task)
            store.add(name, DeltaFile(Path(folder) / name))
        # Loading streams through memory, but a swap jumps to 0.2 million places in it. It is 11 times as fast if
        # nothing else uses the memory, and 6 times if other programs do.
        for count in (20, 1):
            ratio = paired_ratio(partial(_loads, network, state, count), partial(_swaps, store, count), runs=20)
            peer = f"a swap between two tasks of 0.5 %, {count} of each in turns"
            yield Measured(f"diff: load_state_dict, {count} in a row", ratio, peer, ">= 4")


def _loads(network: nn.Module, state: dict[str, Tensor], count: int) -> None:
    for _ in range(count):
        network.load_state_dict(state)


def _swaps(store: DeltaStore, count: int) -> None:
    for _ in range(count):
        store.apply("b" if store.applied == "a" else "a")


def _shira(folder: Path) -> tuple[int, dict[str, Tensor]]:
    """Return the size in bytes of the file that `peft` writes, and the positions in it by parameter name."""
    import peft
    import safetensors

    encoder: Any = TextClassifier(_ENCODER, 2).encoder
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft 0.21 asks transformers 5 in a way that it deprecates
        config: Any = peft.ShiraConfig(r=2, target_modules="all-linear", random_seed=0)
        peft.get_peft_model(encoder, config).save_pretrained(str(folder))
    path, masks = folder / "adapter_model.safetensors", {}
    with safetensors.safe_open(path, "pt") as file:
        for key in file.keys():  # noqa: SIM118 (not a dict)
            if key.endswith("shira_indices"):
                name = key.removeprefix("base_model.model.").removesuffix("shira_indices") + "weight"
                rows, columns = file.get_tensor(key).long()
                width = encoder.get_parameter(name.replace(".weight", ".base_layer.weight")).shape[1]
                masks[f"encoder.{name}"] = (rows * width + columns).sort().values
    return path.stat().st_size, masks
