"""Verbs for experiments, their results and their data."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import ColumnSettings, Experiment, Sweep, TextExperiment
from ..system.errors import UserError
from ..system.files import expand
from .verb import Arguments, Verb, user_path, worker_count

if TYPE_CHECKING:
    import pandas as pd


def _demo(options: argparse.Namespace, overrides: dict[str, Any]) -> None:
    _start_workers(options.workers)
    from ..report import report
    from ..report.folder import read_results
    from ..system.progress import notice
    from .demo import demo_experiment
    from .demo_text import demo_as_text

    experiment, out = demo_experiment(overrides), options.out or Path("results/demo")
    notice(
        f"{len(experiment.methods)} methods on {experiment.data.name}, in three minutes on two idle cores: networks "
        "are trained for two, then persons get theirs, then tables, figures and a report are made"
    )
    _compute(experiment, out, options.workers)
    page = report(out)
    print(f"{demo_as_text(read_results(out))}\n\nAll methods, figures and what they mean, as one page: {page}")
    _say_where_runs_are(out)


def _compare(options: argparse.Namespace, overrides: dict[str, Any]) -> None:
    experiment = _experiment(options, overrides)
    _tell_preview(options.experiment, options.fast)
    out = options.out or Path("results") / experiment.name
    if options.tune:
        _tune(experiment, out, options.workers)
    else:
        _run_comparison(experiment, out, options.workers)


def _experiment(options: argparse.Namespace, overrides: dict[str, Any]) -> Experiment:
    """Return the experiment of a file, on the data that `--data` names in place of its own."""
    if options.data is None:
        return Experiment.load(options.experiment, overrides, fast=options.fast)
    of_file = {key: value for key, value in overrides.items() if not key.startswith("data.")}
    experiment = Experiment.load(options.experiment, of_file, fast=options.fast)
    # The results on the file's own data stay in another folder, and how these are read is no matter of others.
    name = f"{experiment.name}-{expand(options.data).resolve().stem}"
    other = {"data.name": options.data, "name": name, "data.columns": asdict(ColumnSettings()), "data.size": []}
    experiment = experiment.replace(**other).override(overrides)
    return experiment if "methods" in overrides else _fitting(experiment)  # else the user has named them


def _tell_preview(file: Path, fast: bool) -> None:
    """Print a notice of what `--fast` makes of a file."""
    if fast:
        from ..system.progress import notice

        notice(
            f"a preview: the section `fast` of {file} leaves little to train and to test, so its numbers mean little"
        )


def _fitting(experiment: Experiment) -> Experiment:
    """Leave out the methods of a file that need what other data than its own do not have, such as classes."""
    from ..comparison.load import unmet_needs
    from ..system.tracking import notice

    lacking = unmet_needs(experiment)
    fitting = [method for method in experiment.methods if method not in lacking]
    if not lacking or not fitting:
        return experiment
    needs = ", ".join(sorted({need for needs in lacking.values() for need in needs}))
    notice(f"left out, since {experiment.data.name} has no {needs}: {', '.join(lacking)}")
    return experiment.replace(methods=fitting)


def _tune(experiment: Experiment, out: Path, workers: int | None) -> None:
    from ..comparison.tuning import as_settings, tune
    from ..report.terminal import tuning_as_text

    tuned = tune(experiment, out, workers=worker_count(workers))
    print(tuning_as_text(tuned))
    print(f"\nFor the experiment file (keys of ppp belong in its section ppp):\n\n{as_settings(tuned)}")


def _run_comparison(experiment: Experiment, out: Path, workers: int | None) -> None:
    summary = _compute(experiment, out, workers)
    from ..comparison.effort import EFFORT
    from ..report.terminal import as_text
    from ..report.terminal_rivals import rivals_as_text
    from ..tables.journal import TABLE
    from ..tables.schema import load_frame

    print(as_text(summary, experiment.pruning.unit, load_frame(out / EFFORT)))
    if beaten := rivals_as_text(summary, load_frame(out / TABLE)):
        print(f"\n{beaten}")
    print(f"\nTables and figures are in {out}; as one page: pppl report {out}")
    _say_where_runs_are(out)


def _compute(experiment: Experiment, out: Path, workers: int | None) -> "pd.DataFrame":
    _start_workers(workers)
    from ..lab import compare

    return compare(experiment, out, workers=worker_count(workers))


def _start_workers(workers: int | None) -> None:
    """Start the server of worker processes, if there are any, which imports while this process does."""
    from ..system.processes import worker_context

    if worker_count(workers) > 1:
        worker_context("pppl.comparison.execution")


def _say_where_runs_are(out: Path) -> None:
    from ..system.tracking import offline_runs

    if line := offline_runs(out):
        print(line)


def _tasks(options: argparse.Namespace, overrides: dict[str, Any]) -> None:
    from ..lab import compare_tasks
    from ..report.terminal import tasks_as_text

    experiment = TextExperiment.load(options.experiment, overrides, fast=options.fast)
    _tell_preview(options.experiment, options.fast)
    out = options.out or Path("results") / experiment.name
    print(tasks_as_text(compare_tasks(experiment, out, workers=worker_count(options.workers))))
    print(f"\nTables and figures are in {out}; as one page: pppl report {out}")
    _say_where_runs_are(out)


def _sweep(options: argparse.Namespace, overrides: dict[str, Any]) -> None:
    from ..lab import sweep
    from ..report.terminal import sweep_as_text
    from ..report.terminal_rivals import baselines_as_text
    from ..sweeping import status
    from ..system.tracking import offline_runs
    from ..tables.rivals import BASELINES
    from ..tables.schema import load_frame

    overrides |= {name: given for name in ("trials", "hours") if (given := getattr(options, name)) is not None}
    settings = Sweep.load(options.sweep, overrides, fast=options.fast)
    _tell_preview(options.sweep, options.fast)
    out = options.out or Path("results") / settings.name
    if options.status:
        print(status(settings, out, storage=options.storage))
        return
    if options.workers is None and options.launcher == "slurm":
        raise UserError("--launcher slurm needs --workers: give the number of jobs")
    where = {"beside": options.sweep.parent, "storage": options.storage, "launcher": options.launcher}
    trials = sweep(settings, out, workers=worker_count(options.workers), fast=options.fast, **where)
    print(sweep_as_text(trials))
    if (path := out / BASELINES).exists():
        print(f"\n{baselines_as_text(load_frame(path))}")
    print(f"\nAll trials are in {out}/trials.csv; on test persons: pppl compare {out}/best.yaml")
    if line := offline_runs(out):
        print(f"{line} (the study has one, and each trial that `run` of trials.csv names)")


def _train(options: argparse.Namespace, overrides: dict[str, Any]) -> None:
    from ..comparison.train import train

    experiment = _experiment(options, overrides)
    _tell_preview(options.experiment, options.fast)
    out = options.out or Path("results") / f"{experiment.name}-train"
    print(train(experiment, out).to_string(index=False))
    print(f"\nNetworks and logs are in {out}")


def _groups(options: argparse.Namespace, overrides: dict[str, Any]) -> None:
    from ..lab import groups

    print(groups(options.network, tuple(options.shape), num_outputs=options.outputs, options=overrides))


def _add_groups(parser: argparse.ArgumentParser) -> None:
    names = "a backbone, package.module:Class, file.py:Class, hf/FOLDER, hf/TYPE, hf/ORGANIZATION/MODEL, timm/NAME or "
    names += "torchvision/NAME"
    parser.add_argument("network", metavar="NETWORK", help=names)
    shape = "shape of one sample, such as 3 224 224"
    parser.add_argument("--shape", type=int, nargs="+", metavar="N", required=True, help=shape)
    parser.add_argument("--outputs", type=int, default=10, metavar="K", help="number of outputs (default: 10)")


def _add_train(parser: argparse.ArgumentParser) -> None:
    _add_file(parser)
    _add_data(parser)
    _add_out(parser)


def _add_out(parser: Arguments) -> None:
    parser.add_argument("--out", type=user_path, metavar="DIR", help="results folder (default: below results/)")


def _add_workers(parser: Arguments) -> None:
    parser.add_argument("--workers", type=int, metavar="N", help="worker processes (default: one per core)")


def _add_demo(parser: argparse.ArgumentParser) -> None:
    _add_out(parser)
    _add_workers(parser)


def _add_compare(parser: argparse.ArgumentParser) -> None:
    _add_tasks(parser)
    _add_data(parser)
    parser.add_argument("--tune", action="store_true", help="try the settings in `tuning` on validation persons only")


def _add_data(parser: argparse.ArgumentParser) -> None:
    other = "another data set: a name of `pppl data list`, a file, a folder, or hf:OWNER/NAME"
    parser.add_argument("--data", metavar="DATA", help=other)


def _add_tasks(parser: argparse.ArgumentParser) -> None:
    _add_file(parser)
    _add_demo(parser)


def _add_sweep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", type=user_path, metavar="SWEEP.yaml", help="write one by `pppl new tune NAME`")
    _add_out(parser)
    parser.add_argument("--status", action="store_true", help="show what is done, running, dead, and the best so far")
    much = parser.add_argument_group("how much")
    _add_fast(much)
    much.add_argument("--trials", type=int, metavar="N", help="trials to finish (default: the number in the file)")
    much.add_argument("--hours", type=float, metavar="H", help="start no trial after H hours")
    where = parser.add_argument_group("where")
    _add_workers(where)
    shared = "a database that several machines share: postgresql://user@host/database"
    where.add_argument("--storage", metavar="URL", default="", help=shared)
    where.add_argument("--launcher", choices=("local", "slurm"), default="local", help="where workers run")


def _add_file(parser: argparse.ArgumentParser) -> None:
    kind = "write one by `pppl new`"
    parser.add_argument("experiment", type=user_path, metavar="EXPERIMENT.yaml", help=kind)
    _add_fast(parser)


def _add_fast(parser: Arguments) -> None:
    parser.add_argument("--fast", action="store_true", help="apply the file's section `fast`: a preview in a minute")


VERBS: dict[str, Verb] = {
    "demo": (_demo, "compare methods of every family on handwritten digits, with figures, in minutes", _add_demo),
    "compare": (_compare, "compare methods on the same persons, support and budgets", _add_compare),
    "tasks": (_tasks, "compare ways to adapt one text encoder to many tasks", _add_tasks),
    "sweep": (_sweep, "search for a method's settings on validation persons", _add_sweep),
    "groups": (_groups, "show which channels of a network can be removed, and why others stay", _add_groups),
    "train": (_train, "train the global networks of an experiment", _add_train),
}
