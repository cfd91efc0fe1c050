"""The runner of benchmarks. Each measures ratios to named peers, timed in turns in the same process."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

import torch

from ..system.errors import unknown
from ..system.files import claim, output_folder, replacing
from ..system.processes import threads
from ..system.tracking import notice
from .ratio import Measured

# The module and the function of each benchmark.
_BENCHES = {
    "gating": ("network_speed", "gating"),
    "loader": ("network_speed", "loader"),
    "surgery": ("network_speed", "surgery"),
    "personalize": ("network_speed", "personalize"),
    "adapt": ("adapting", "measure"),
    "latency": ("deploying", "latency"),
    "people": ("deploying", "people"),
    "diff": ("diffing", "measure"),
    "compare": ("comparing", "measure"),
    "sweep": ("sweep_speed", "measure"),
    "coverage": ("coverage", "measure"),
}


@dataclass(frozen=True, kw_only=True)
class Result:
    """One measurement: the ratio of our time to that of `peer`, as a median over paired runs, or as `peer` says."""

    name: str
    value: float
    unit: str
    peer: str
    goal: str
    holds: bool


def bench(names: Sequence[str] = (), json_file: Path | None = None) -> list[Result]:
    """Run the named benchmarks (all by default), print one line per result, and return the results.

    **Arguments:**

    - `json_file`: a file that receives the results, too.

    Raise `UserError` for an unknown name or a file that cannot be written.

    ```python
    bench(["surgery"], json_file=Path("bench.json"))
    ```
    """
    for name in names:
        if name not in _BENCHES:
            raise unknown("benchmark", name, _BENCHES)
    if json_file is not None:
        output_folder(json_file.parent)
        claim([json_file])
    results: list[Result] = []
    # Ratios of small kernels must not depend on how threads are scheduled.
    with threads(1), torch.random.fork_rng():
        for name in names or _BENCHES:
            notice(f"measuring {name}, one thread")
            for result in map(_result, _measured(name)):
                results.append(result)
                verdict = "holds" if result.holds else "DOES NOT HOLD"
                line = f"{result.name:<42} {result.value:8.2f} {result.unit}  goal {result.goal}: {verdict}"
                print(f"{line}  (peer: {result.peer})")
    if json_file is not None:
        with replacing(json_file) as path:
            path.write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n", encoding="utf-8")
    return results


def _measured(name: str) -> Iterable[Measured]:
    module, function = _BENCHES[name]
    measure: Callable[[], Iterable[Measured]] = getattr(import_module(f".{module}", __package__), function)
    return measure()


def _holds(value: float, goal: str) -> bool:
    """Return whether a value meets a goal such as `<= 1.5`, `>= 0.85` or `93 to 97`, ends included."""
    first, *others = goal.split()
    if first == "<=":
        return value <= float(others[0])
    return value >= float(others[0]) if first == ">=" else float(first) <= value <= float(others[1])


def _result(measured: Measured) -> Result:
    holds = _holds(measured.value, measured.goal)
    value, unit = round(measured.value, 3), measured.unit
    return Result(name=measured.name, value=value, unit=unit, peer=measured.peer, goal=measured.goal, holds=holds)
