"""The merge of one experiment's tables that were computed on several machines."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd

from ..config import Experiment
from ..personalizers import make_personalizers
from ..system.errors import UserError
from ..system.files import claim, expand, output_folder, remove, replacing
from ..tables.derived import TABLES, Draw, draw_nothing, write_tables
from ..tables.journal import COLUMNS, NUMBERS, TABLE, TIMED, Row, key_of, name_budgets_exactly, read_table
from ..tables.metric import ACCURACY
from ..tables.provenance import read_run, write_run
from .effort import EFFORT
from .folders import refuse_other_command
from .gatemap import GATES

# Settings that are keys of rows: parts of one experiment may differ in them.
_ROW_SETTINGS = ("methods", "budgets", "seeds", "persons.classes")
# Settings of single methods: fingerprints show whether their rows depend on them.
_METHOD_SETTINGS = ("settings", "tuning", "searched", "looks")
# Settings that change no row.
_OUTSIDE = ("name", "reference", "tracking")


@dataclass(frozen=True, kw_only=True)
class FinishedResults:
    """A results folder with a finished comparison of people."""

    folder: Path
    experiment: Experiment
    run: Mapping[str, Any]
    rows: list[Row]

    @property
    def fingerprints(self) -> Mapping[str, str]:
        """The fingerprint of each method's rows."""
        return self.run["fingerprints"]

    @staticmethod
    def read(folder: str | Path) -> "FinishedResults":
        """Return the results in a folder. Raise `UserError` if it has no finished comparison."""
        folder = expand(folder)
        run = read_run(folder)
        if not isinstance(run.get("fingerprints"), dict) or not isinstance(run.get("config"), dict):
            raise UserError(f"{folder}/run.json is of no comparison, or an early one: run `pppl compare` again")
        try:
            experiment = Experiment.reopen(run["config"], folder)
        except UserError as error:
            raise UserError(f"{folder}/run.json is of another version: {error}") from error
        rows = name_budgets_exactly(read_table(folder / TABLE), experiment.budgets)
        return FinishedResults(folder=folder, experiment=experiment, run=run, rows=rows)


def merge(folders: Sequence[str | Path], out: str | Path, *, draw: Draw = draw_nothing) -> pd.DataFrame:
    """Join comparisons that differ only in methods, budgets, seeds and sizes of persons, and return the summary.

    Rows that several folders share are kept once. `out` receives tables, `run.json` and the figures of `draw`. Its rows
    have the order of a single comparison, and `pppl compare` can resume it. `out` may be one of the folders.

    ```python
    merge(["results/machine1", "results/machine2"], "results/both")
    ```

    Raise `UserError` if a folder has no finished comparison, or if two of them contradict each other in a setting, in
    code or data, or in a number other than seconds. Then nothing is written.
    """
    parts = [FinishedResults.read(folder) for folder in folders]
    experiment = reduce(_join_settings, parts[1:], parts[0].experiment)
    conflicts = [
        *_input_conflicts(parts),
        *_stamp_conflicts(parts),
        *_setting_conflicts(parts, experiment),
        *_number_conflicts(parts),
    ]
    if conflicts:
        more = f"; and {len(conflicts) - 1} more" if len(conflicts) > 1 else ""
        raise UserError(f"{conflicts[0]}{more}: compute one of them again")
    rows: dict[tuple[Any, ...], Row] = {}
    for row in chain.from_iterable(part.rows for part in parts):
        rows.setdefault(key_of(row), row)
    table = pd.DataFrame(_sort_rows([*rows.values()], experiment), columns=list(COLUMNS))
    folder = output_folder(out)
    _refuse_others(parts[0], folder)
    claim([folder / name for name in (*TABLES, EFFORT, GATES, "run.json")])
    summary = write_tables(folder, table, experiment)
    _copy_gates(parts, experiment.seeds[0], folder)
    remove(folder / EFFORT)  # it describes one part; `pppl compare` writes that of the whole
    _write_run(parts, experiment, folder)
    draw(folder)
    return summary


def _join_settings(experiment: Experiment, part: FinishedResults) -> Experiment:
    """Return both experiments as one. Raise `UserError` if they differ in settings that are no keys of rows."""
    one, other = _flat(experiment.to_dict()), _flat(part.experiment.to_dict())
    for key in {**one, **other}:
        if key in _ROW_SETTINGS or key.split(".")[0] in (*_OUTSIDE, *_METHOD_SETTINGS):
            continue
        if one.get(key) != other.get(key):
            raise UserError(
                f"{part.folder} has {key} {other.get(key)}, others have {one.get(key)}: merge one experiment"
            )
    for name in ("tuning", "searched"):
        first, second = getattr(experiment, name), getattr(part.experiment, name)
        for method in first.keys() & second.keys():
            if first[method] != second[method]:
                raise UserError(f"{part.folder} has other {name} of {method} than the others: merge one experiment")
    row_settings = {key: [*dict.fromkeys([*one[key], *other[key]])] for key in _ROW_SETTINGS}
    method_settings: dict[str, dict[str, Any]] = {}
    for name in _METHOD_SETTINGS:  # the first part that names a method decides order and value
        first, second = getattr(experiment, name), getattr(part.experiment, name)
        method_settings[name] = {**first, **second, **first}
    method_settings["settings"] = _with_all_budgets(method_settings["settings"], experiment, part.experiment)
    return experiment.replace(**row_settings, **method_settings)


def _with_all_budgets(settings: Mapping[str, Mapping[str, Any]], *parts: Experiment) -> dict[str, dict[str, Any]]:
    """Return settings with the budgets of all parts for methods that have budgets of their own."""
    joined = {method: dict(own) for method, own in settings.items()}
    for method, own in joined.items():
        parts_with_method = [part for part in parts if method in part.methods]
        budgets = chain.from_iterable(
            part.settings.get(method, {}).get("budgets", part.budgets) for part in parts_with_method
        )
        if "budgets" in own and parts_with_method:
            own["budgets"] = [*dict.fromkeys(budgets)]
    return joined


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a flat dictionary with dotted keys."""
    pairs: dict[str, Any] = {}
    for key, value in tree.items():
        pairs |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return pairs


def _input_conflicts(parts: Sequence[FinishedResults]) -> Iterator[str]:
    """Yield parts that differ in data, starting weights or full networks."""
    first = parts[0]
    for part in parts[1:]:
        for name, label in (("dataset_sha256", "data"), ("weights_sha256", "starting weights")):
            if part.run.get(name) != first.run.get(name):
                yield f"{first.folder} and {part.folder} are of other {label}"
    scores: dict[tuple[Any, ...], tuple[Path, float]] = {}
    for part in parts:
        for key, value in {_person_key(row): row["score_full"] for row in part.rows}.items():
            folder, before = scores.setdefault(key, (part.folder, value))
            if value != before:
                person = f"{key[1]} {key[3]}, seed {key[0]}"
                yield f"{folder} and {part.folder} have {before:g} and {value:g} as score of the full network, {person}"


def _refuse_others(part: FinishedResults, out: Path) -> None:
    """Raise `UserError` if `out` holds results of another command or, by their hash, on other data."""
    refuse_other_command(out, "compare")
    run = read_run(out)
    kept_sha256, data = run.get("dataset_sha256"), run.get("config", {}).get("data")
    if kept_sha256 and kept_sha256 != part.run.get("dataset_sha256") and data == part.run["config"].get("data"):
        raise UserError(f"{out} holds results on other data than {part.folder}: name another --out")


def _person_key(row: Row) -> tuple[Any, ...]:
    """Return the columns that identify a person."""
    return row["seed"], row["persons"], row["seen"], row["identity"]


def _stamp_conflicts(parts: Sequence[FinishedResults]) -> Iterator[str]:
    """Yield methods that two parts computed by different code, settings or data."""
    first: dict[str, FinishedResults] = {}
    for part in parts:
        for method, fingerprint in part.fingerprints.items():
            before = first.setdefault(method, part)
            if before.fingerprints[method] != fingerprint:
                yield f"{before.folder} and {part.folder} have {method} by different code, settings or data"


def _setting_conflicts(parts: Sequence[FinishedResults], experiment: Experiment) -> Iterator[str]:
    """Yield methods that a part computed by other settings than the merged experiment has."""
    merged = {each.method: each.depends_on() for each in make_personalizers(experiment)}
    for part in parts:
        own = {each.method: each.depends_on() for each in make_personalizers(part.experiment)}
        for method in part.fingerprints:
            if own.get(method) != merged.get(method):
                yield f"{part.folder} has {method} by other settings than those that another part names for it"


def _number_conflicts(parts: Sequence[FinishedResults]) -> Iterator[str]:
    """Yield numbers that differ between parts."""
    first: dict[tuple[Any, ...], tuple[Path, Row]] = {}
    for part in parts:
        for row in part.rows:
            folder, before = first.setdefault(key_of(row), (part.folder, row))
            for name in NUMBERS:  # tables of earlier versions lack one of them
                if name == TIMED or name not in row or name not in before:
                    continue
                if row[name] != before[name]:
                    series = f"{row['method']} {row['control']}".strip()
                    person = f"budget {row['budget']:g}, {row['persons']} {row['identity']}, seed {row['seed']}"
                    values = f"{before[name]:g} and {row[name]:g}"
                    yield f"{folder} and {part.folder} have {values} as {name} of {series}, {person}"


def _sort_rows(rows: Sequence[Row], experiment: Experiment) -> list[Row]:
    """Return rows in the order of a single comparison: by seed, group, person, method, control and budget."""
    methods = {(each.method, each.control): at for at, each in enumerate(make_personalizers(experiment))}
    budgets = [1.0, *experiment.budgets] if 1.0 not in experiment.budgets else [*experiment.budgets]
    protocols = [*dict.fromkeys(row["persons"] for row in rows)]
    persons = {key: at for at, key in enumerate(dict.fromkeys(map(_person_key, rows)))}

    def place(row: Row) -> tuple[int, ...]:
        group = (experiment.seeds.index(row["seed"]), not row["seen"], protocols.index(row["persons"]))
        return (*group, persons[_person_key(row)], methods[row["method"], row["control"]], budgets.index(row["budget"]))

    try:
        return sorted(name_budgets_exactly(rows, budgets), key=place)
    except (KeyError, ValueError) as error:
        raise UserError(f"a {TABLE} has rows that its run.json does not know ({error}): run `pppl compare`") from error


def _copy_gates(parts: Sequence[FinishedResults], seed: int, folder: Path) -> None:
    """Copy `gates.csv` from a part whose first seed is `seed`."""
    for part in parts:
        path = part.folder / GATES
        if part.experiment.seeds[0] == seed and path.exists() and folder.resolve() != part.folder.resolve():
            with replacing(folder / GATES) as temporary:
                shutil.copyfile(path, temporary)
            return


def _write_run(parts: Sequence[FinishedResults], experiment: Experiment, folder: Path) -> None:
    metric = parts[0].run.get("metric", ACCURACY.to_dict())  # earlier versions had no other
    keys = ("git_commit", "hardware", "wall_seconds")
    write_run(
        folder,
        experiment.to_dict(),
        parts[0].run["dataset_sha256"],
        weights_sha256=parts[0].run["weights_sha256"],
        fingerprints={method: each for part in parts for method, each in part.fingerprints.items()},
        metric=metric,
        merged=[{key: part.run.get(key) for key in keys} for part in parts],
    )
