"""The latency of one sample through files of `pppl personalize` and through the full networks they come from."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..backbones import Backbone, ShapeSpec
from ..data.preprocessing import Preprocessing
from ..pruning import CostModel
from ..system.errors import UserError
from ..system.files import expand
from ..system.memory import PeakMemory
from ..system.processes import threads as torch_threads
from .formats import to_onnx
from .graph import Deployed, LogMelOnly
from .meta_build import build_bounded
from .onnx_file import open_onnx, open_onnx_bytes
from .personal_file import read_personal
from .timing import time_in_turns
from .trusted import trusted

ENGINES = ("torch", "onnxruntime")
_LEAST_MS = 1e-6  # a timer tells no less


@dataclass(frozen=True, kw_only=True)
class _Subject:
    """A network to time.

    - `onnx`: content of the network's ONNX file. If None, the network is exported.
    - `size`: size of the network's file in bytes; None for a full network, which has no file here.
    - `hears_only`: whether only its log-mel features are timed, without the network.
    """

    network: Backbone
    preprocessing: Preprocessing
    raw_audio: bool
    onnx: bytes | None
    size: int | None
    hears_only: bool = False

    @property
    def deployed(self) -> Deployed:
        """The network with its preprocessing, or its log-mel features alone."""
        return (LogMelOnly if self.hears_only else Deployed)(self.network, self.preprocessing, raw_audio=self.raw_audio)

    def call(self, engine: str, threads: int) -> Callable[[], object]:
        """Return a function that runs one sample through an engine."""
        deployed = self.deployed
        one = np.random.default_rng(0).normal(size=(1, *deployed.input_shape)).astype(np.float32)
        if engine == "torch":
            tensor = torch.from_numpy(one)
            return lambda: _torch_forward(deployed, tensor)
        session = open_onnx_bytes(self._onnx, threads=threads)
        return lambda: session(one)

    @cached_property
    def _onnx(self) -> bytes:
        return self.onnx or to_onnx(self.deployed, {})


@torch.inference_mode()
def _torch_forward(deployed: Deployed, x: torch.Tensor) -> torch.Tensor:
    return deployed(x)


def latency(paths: Sequence[str | Path], *, threads: int = 1, runs: int = 100) -> pd.DataFrame:
    """Time one sample through each file and each full network, in PyTorch and ONNX Runtime, all in turns.

    ```python
    table = latency(["personal.onnx", "personal.safetensors"])
    ```

    **Arguments:**

    - `paths`: personal model files, or `.onnx` files of `pppl personalize`.
    - `threads`: threads of each engine.
    - `runs`: how often each network runs at least.

    **Returns:** one row per file and engine. Its columns are `median_ms`, `low_ms` and `high_ms` (quartiles),
    `speed_up` (the full network's median divided by the file's), `log_mel_ms` (the median of log-mel alone) and
    `network_speed_up` (the speed-up without it), both NaN unless the file takes raw audio, `macs`, `params`, `bytes` of
    the file, and `peak_mib` (memory for loading it and one pass). Full networks have random weights, and so does the
    network that PyTorch builds from an `.onnx` file. Speed does not depend on weights.

    Raise `UserError` if a file cannot be read, or if its network is made of code that has not been loaded.
    """
    subjects: dict[str, _Subject] = {}
    full_of: dict[str, str] = {}
    fulls: dict[tuple[str, bool], str] = {}
    for path in map(expand, paths):
        subject, full = _open_subject(path)
        key = full.to_json(), subject.raw_audio
        if key not in fulls:
            name = f"full {full.backbone}" + " with log-mel" * subject.raw_audio
            fulls[key] = name if name not in subjects else f"{name}, {len(fulls) + 1}"
            state = subject.network.state_dict()
            network = _build(full, path, len(state), sum(value.numel() for value in state.values()))
            subjects[fulls[key]] = replace(subject, network=network, onnx=None, size=None)
        subjects[str(path)], full_of[str(path)] = subject, fulls[key]
    with torch_threads(threads):
        return _measure(subjects, full_of, threads, runs)


def _measure(subjects: dict[str, _Subject], full_of: dict[str, str], threads: int, runs: int) -> pd.DataFrame:
    calls, peaks = {}, {}
    log_mel_of = {name: _log_mel_name(subject) for name, subject in subjects.items() if subject.raw_audio}
    hearing = {log_mel: replace(subjects[name], hears_only=True, onnx=None) for name, log_mel in log_mel_of.items()}
    for name, subject in (subjects | hearing).items():
        for engine in ENGINES:
            subject.call(engine, threads)()  # exports the network, and lets the engine do its one-time setup
            with PeakMemory() as memory:
                calls[name, engine] = subject.call(engine, threads)
                calls[name, engine]()
            peaks[name, engine] = memory.bytes / 2**20
    took = time_in_turns(calls, runs=runs)
    rows: list[dict[str, Any]] = []
    for (name, engine), spent in took.items():
        if name in hearing:
            continue
        log_mel = took[log_mel_of[name], engine].median if name in log_mel_of else math.nan
        subject, full = subjects[name], took[full_of.get(name, name), engine]
        cost = CostModel(subject.network, subject.preprocessing.shape).full
        rows.append(
            {
                "file": name,
                "engine": engine,
                "median_ms": spent.median,
                "low_ms": spent.low,
                "high_ms": spent.high,
                "speed_up": full.median / spent.median,
                "log_mel_ms": log_mel,
                "network_speed_up": (full.median - log_mel) / max(spent.median - log_mel, _LEAST_MS),
                "macs": cost.macs,
                "params": cost.params,
                "bytes": subject.size,
                "peak_mib": peaks[name, engine],
            }
        )
    return pd.DataFrame(rows).astype({"bytes": "Int64"})


def _log_mel_name(subject: _Subject) -> str:
    """Return a name for the log-mel features of a subject, the same for subjects that have the same."""
    return f"log-mel {subject.preprocessing.log_mel}"


def _open_subject(path: Path) -> tuple[_Subject, ShapeSpec]:
    """Open a file and return its network with the spec of the full network."""
    if path.suffix != ".onnx":
        file = read_personal(path)
        subject = _Subject(
            network=file.network,
            preprocessing=file.preprocessing,
            raw_audio=False,
            onnx=None,
            size=path.stat().st_size,
        )
        return subject, file.full
    meta, content = open_onnx(path).meta, path.read_bytes()
    try:
        preprocessing = Preprocessing.from_json(json.dumps(meta["preprocessing"]))
        spec, full = (ShapeSpec.from_json(json.dumps(meta[key])) for key in ("spec", "full"))
        raw_audio = bool(meta["raw_audio"])
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} has no description of its network: export it again with `pppl personalize`") from error
    spec, full, size = trusted(spec, path), trusted(full, path), len(content)
    network = _build(spec, path, _count_parts(content), size)
    return _Subject(network=network, preprocessing=preprocessing, raw_audio=raw_audio, onnx=content, size=size), full


def _count_parts(content: bytes) -> int:
    """Return how many tensors and operations an ONNX file has."""
    import onnx

    graph = onnx.load_from_string(content).graph
    return len(graph.initializer) + len(graph.node)


def _build(spec: ShapeSpec, path: Path, tensors: int, values: int) -> Backbone:
    """Build a network that a file describes, unless it is much larger than the file."""
    try:
        return build_bounded(spec, tensors=tensors, values=values).eval()
    except UserError as error:
        raise UserError(f"{path} is damaged ({error}): fetch or make it again") from error
