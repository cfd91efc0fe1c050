"""Tables of one experiment, computed on several machines, as one."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd

from ..config import Experiment
from ..config.reading import from_dict
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

# Settings that rows name themselves: parts of one experiment may have different ones.
_NAMED = ("methods", "budgets", "seeds", "persons.classes")
# Of single methods: what their rows depend on is in their fingerprints.
_OF_METHODS = ("settings", "tuning", "searched", "looks")


@dataclass(frozen=True, kw_only=True)
class FinishedResults:
    """A results folder with a comparison that came to its end."""

    folder: Path
    experiment: Experiment
    run: Mapping[str, Any]
    rows: list[Row]

    @property
    def fingerprints(self) -> Mapping[str, str]:
        """By method, what its rows depend on, as a hash."""
        return self.run["fingerprints"]

    @staticmethod
    def read(folder: str | Path) -> "FinishedResults":
        """Raises `UserError` where the folder has none."""
        folder = expand(folder)
        run = read_run(folder)
        if not isinstance(run.get("fingerprints"), dict) or not isinstance(run.get("config"), dict):
            raise UserError(f"{folder}/run.json is of no comparison, or an early one: run `pppl compare` again")
        try:
            experiment = from_dict(run["config"], Experiment)
        except UserError as error:
            raise UserError(f"{folder}/run.json is of another version: {error}") from error
        rows = name_budgets_exactly(read_table(folder / TABLE), experiment.budgets)
        return FinishedResults(folder=folder, experiment=experiment, run=run, rows=rows)


def merge(folders: Sequence[str | Path], out: str | Path, *, draw: Draw = draw_nothing) -> pd.DataFrame:
    """Join comparisons that differ only in methods, budgets, seeds and sizes of persons, and return the summary.

    Rows that several of them have are kept once. `out` receives tables, `run.json` and what `draw` draws, in the order
    in which one comparison of all of it writes them; it may be one of the folders. `pppl compare` goes on from there.

    Raises `UserError` where a folder has no finished comparison, and where two of them contradict each other: in a
    setting, in code or data, or in a number other than seconds. Then nothing is written.
    """
    parts = [FinishedResults.read(folder) for folder in folders]
    experiment = reduce(_joined, parts[1:], parts[0].experiment)
    conflicts = [*_strangers(parts), *_stale(parts), *_unlike(parts, experiment), *_contradictions(parts)]
    if conflicts:
        others = f"; and {len(conflicts) - 1} more" if len(conflicts) > 1 else ""
        raise UserError(f"{conflicts[0]}{others}: compute one of them again")
    rows: dict[tuple[Any, ...], Row] = {}
    for row in chain.from_iterable(part.rows for part in parts):
        rows.setdefault(key_of(row), row)
    table = pd.DataFrame(_ordered([*rows.values()], experiment), columns=list(COLUMNS))
    folder = output_folder(out)
    _refuse_others(parts[0], folder)
    claim([folder / name for name in (*TABLES, EFFORT, GATES, "run.json")])
    summary = write_tables(folder, table, experiment)
    _copy_gates(parts, experiment.seeds[0], folder)
    remove(folder / EFFORT)  # of one part; `compare` writes that of all
    _write_run(parts, experiment, folder)
    draw(folder)
    return summary


def _joined(experiment: Experiment, part: FinishedResults) -> Experiment:
    """Both together, where they agree in all that rows do not name."""
    one, other = _flat(experiment.to_dict()), _flat(part.experiment.to_dict())
    for key in {**one, **other}:
        if key in (*_NAMED, "name", "reference") or key.split(".")[0] in _OF_METHODS:
            continue
        if one.get(key) != other.get(key):
            raise UserError(
                f"{part.folder} has {key} {other.get(key)}, others have {one.get(key)}: merge one experiment"
            )
    for name in ("tuning", "searched"):
        mine, theirs = getattr(experiment, name), getattr(part.experiment, name)
        for method in mine.keys() & theirs.keys():
            if mine[method] != theirs[method]:
                raise UserError(f"{part.folder} tells other {name} of {method} than others: merge one experiment")
    named = {key: [*dict.fromkeys([*one[key], *other[key]])] for key in _NAMED}
    of_methods: dict[str, dict[str, Any]] = {}
    for name in _OF_METHODS:  # in the order of the first part that names them, as it names them
        mine, theirs = getattr(experiment, name), getattr(part.experiment, name)
        of_methods[name] = {**mine, **theirs, **mine}
    of_methods["settings"] = _with_all_budgets(of_methods["settings"], experiment, part.experiment)
    return experiment.replace(**named, **of_methods)


def _with_all_budgets(settings: Mapping[str, Mapping[str, Any]], *parts: Experiment) -> dict[str, dict[str, Any]]:
    """A method that has only some budgets in one part has those of the others, too."""
    joined = {method: dict(own) for method, own in settings.items()}
    for method, own in joined.items():
        having = [part for part in parts if method in part.methods]
        budgets = chain.from_iterable(part.settings.get(method, {}).get("budgets", part.budgets) for part in having)
        if "budgets" in own and having:
            own["budgets"] = [*dict.fromkeys(budgets)]
    return joined


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys and their values."""
    pairs: dict[str, Any] = {}
    for key, value in tree.items():
        pairs |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return pairs


def _strangers(parts: Sequence[FinishedResults]) -> Iterator[str]:
    """Parts of other data or starting weights, or whose full networks are not the same."""
    first = parts[0]
    for part in parts[1:]:
        for name, what in (("dataset_sha256", "data"), ("weights_sha256", "starting weights")):
            if part.run.get(name) != first.run.get(name):
                yield f"{first.folder} and {part.folder} are of other {what}"
    scores: dict[tuple[Any, ...], tuple[Path, float]] = {}
    for part in parts:
        for key, value in {_person(row): row["score_full"] for row in part.rows}.items():
            folder, before = scores.setdefault(key, (part.folder, value))
            if value != before:
                who = f"{key[1]} {key[3]}, seed {key[0]}"
                yield f"{folder} and {part.folder} have {before:g} and {value:g} as score of the full network, {who}"


def _refuse_others(part: FinishedResults, out: Path) -> None:
    """Raises `UserError` where `out` holds results of another command or, by its content, on other data."""
    refuse_other_command(out, "compare")
    run = read_run(out)
    known, data = run.get("dataset_sha256"), run.get("config", {}).get("data")
    if known and known != part.run.get("dataset_sha256") and data == part.run["config"].get("data"):
        raise UserError(f"{out} holds results on other data than {part.folder}: name another --out")


def _person(row: Row) -> tuple[Any, ...]:
    return row["seed"], row["persons"], row["seen"], row["identity"]


def _stale(parts: Sequence[FinishedResults]) -> Iterator[str]:
    first: dict[str, FinishedResults] = {}
    for part in parts:
        for method, fingerprint in part.fingerprints.items():
            before = first.setdefault(method, part)
            if before.fingerprints[method] != fingerprint:
                yield f"{before.folder} and {part.folder} have {method} by different code, settings or data"


def _unlike(parts: Sequence[FinishedResults], experiment: Experiment) -> Iterator[str]:
    """Methods that a part computed by other settings than all settings together come to."""
    together = {each.method: each.depends_on() for each in make_personalizers(experiment)}
    for part in parts:
        own = {each.method: each.depends_on() for each in make_personalizers(part.experiment)}
        for method in part.fingerprints:
            if own.get(method) != together.get(method):
                yield f"{part.folder} has {method} by other settings than those that another part names for it"


def _contradictions(parts: Sequence[FinishedResults]) -> Iterator[str]:
    first: dict[tuple[Any, ...], tuple[Path, Row]] = {}
    for part in parts:
        for row in part.rows:
            folder, before = first.setdefault(key_of(row), (part.folder, row))
            for name in NUMBERS:  # one of which tables of earlier versions lack
                if name == TIMED or name not in row or name not in before:
                    continue
                if row[name] != before[name]:
                    what = f"{row['method']} {row['control']}".strip()
                    where = f"budget {row['budget']:g}, {row['persons']} {row['identity']}, seed {row['seed']}"
                    values = f"{before[name]:g} and {row[name]:g}"
                    yield f"{folder} and {part.folder} have {values} as {name} of {what}, {where}"


def _ordered(rows: Sequence[Row], experiment: Experiment) -> list[Row]:
    """As one comparison writes them: by seed, group of persons, person, method, control and budget."""
    methods = {(each.method, each.control): at for at, each in enumerate(make_personalizers(experiment))}
    budgets = [1.0, *experiment.budgets] if 1.0 not in experiment.budgets else [*experiment.budgets]
    protocols = [*dict.fromkeys(row["persons"] for row in rows)]
    persons = {key: at for at, key in enumerate(dict.fromkeys(map(_person, rows)))}

    def place(row: Row) -> tuple[int, ...]:
        group = (experiment.seeds.index(row["seed"]), not row["seen"], protocols.index(row["persons"]))
        return (*group, persons[_person(row)], methods[row["method"], row["control"]], budgets.index(row["budget"]))

    try:
        return sorted(name_budgets_exactly(rows, budgets), key=place)
    except (KeyError, ValueError) as error:
        raise UserError(f"a {TABLE} has rows that its run.json does not know ({error}): run `pppl compare`") from error


def _copy_gates(parts: Sequence[FinishedResults], seed: int, folder: Path) -> None:
    for part in parts:
        path = part.folder / GATES
        if part.experiment.seeds[0] == seed and path.exists() and folder.resolve() != part.folder.resolve():
            with replacing(folder / GATES) as temporary:
                shutil.copyfile(path, temporary)
            return


def _write_run(parts: Sequence[FinishedResults], experiment: Experiment, folder: Path) -> None:
    told = ("git_commit", "hardware", "wall_seconds")
    metric = parts[0].run.get("metric", ACCURACY.to_dict())  # earlier versions had no other
    write_run(
        folder,
        experiment.to_dict(),
        parts[0].run["dataset_sha256"],
        weights_sha256=parts[0].run["weights_sha256"],
        fingerprints={method: each for part in parts for method, each in part.fingerprints.items()},
        metric=metric,
        merged=[{key: part.run.get(key) for key in told} for part in parts],
    )
