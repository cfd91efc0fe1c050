"""Verbs for experiments, their results and their data."""

import argparse
import os
from pathlib import Path
from typing import Any

from ..config import Experiment, Sweep, TextExperiment
from ..system.errors import UserError
from .verb import Parser, Verb, user_path


def _demo(options: argparse.Namespace, overrides: dict[str, Any]) -> None:
    from .demo import demo_experiment

    _run_comparison(demo_experiment(overrides), options.out or Path("results/demo"), options.workers)


def _compare(options: argparse.Namespace, overrides: dict[str, Any]) -> None:
    experiment = Experiment.load(options.experiment, overrides, fast=options.fast)
    if options.data is not None:
        name = f"{experiment.name}-{Path(options.data).stem}"  # the results on its own data stay in another folder
        experiment = experiment.replace(**{"data.name": options.data, "name": overrides.get("name", name)})
        experiment = _fitting(experiment, asked="methods" in overrides)
    out = options.out or Path("results") / experiment.name
    if options.tune:
        _tune(experiment, out, options.workers)
    else:
        _run_comparison(experiment, out, options.workers)


def _fitting(experiment: Experiment, *, asked: bool) -> Experiment:
    """Leave out the methods of a file that need what other data than its own do not have, such as classes.

    **Arguments:**

    - `asked`: whether the user named the methods; then nothing is left out.
    """
    from ..comparison.load import methods_that_fit
    from ..system.tracking import notice

    fitting = methods_that_fit(experiment)
    lacking = [method for method in experiment.methods if method not in fitting]
    if asked or not lacking or not fitting:
        return experiment
    notice(f"left out, since {experiment.data.name} has no classes: {', '.join(lacking)}")
    return experiment.replace(methods=fitting)


def _tune(experiment: Experiment, out: Path, workers: int | None) -> None:
    from ..comparison.tuning import as_settings, tune
    from ..report.terminal import tuning_as_text

    tuned = tune(experiment, out, workers=_count(workers))
    print(tuning_as_text(tuned))
    print(f"\nFor the experiment file (keys of ppp belong in its section ppp):\n\n{as_settings(tuned)}")


def _run_comparison(experiment: Experiment, out: Path, workers: int | None) -> None:
    from ..system.processes import worker_context

    count = _count(workers)
    if count > 1:
        worker_context("pppl.comparison.execution")  # the workers' server imports while this process does
    from ..lab import compare
    from ..report.terminal import as_text

    summary = compare(experiment, out, workers=count)
    print(as_text(summary, experiment.pruning.unit))
    _say_where(out)


def _count(workers: int | None) -> int:
    if workers is not None and workers < 1:
        raise UserError(f"--workers is {workers}: at least 1")
    return workers or os.cpu_count() or 1


def _say_where(out: Path) -> None:
    from ..system.tracking import offline_runs

    print(f"\nTables and figures are in {out}; as one page: pppl report {out}")
    if line := offline_runs(out):
        print(line)


def _tasks(options: argparse.Namespace, overrides: dict[str, Any]) -> None:
    from ..lab import compare_tasks
    from ..report.terminal import tasks_as_text

    experiment = TextExperiment.load(options.experiment, overrides, fast=options.fast)
    out = options.out or Path("results") / experiment.name
    print(tasks_as_text(compare_tasks(experiment, out, workers=_count(options.workers))))
    _say_where(out)


def _sweep(options: argparse.Namespace, overrides: dict[str, Any]) -> None:
    from ..lab import sweep
    from ..report.terminal import sweep_as_text
    from ..sweeping import status

    overrides |= {name: given for name in ("trials", "hours") if (given := getattr(options, name)) is not None}
    settings = Sweep.load(options.sweep, overrides, fast=options.fast)
    out = options.out or Path("results") / settings.name
    if options.status:
        print(status(settings, out, storage=options.storage))
        return
    if options.workers is None and options.launcher == "slurm":
        raise UserError("--launcher slurm needs --workers: give the number of jobs")
    where = {"beside": options.sweep.parent, "storage": options.storage, "launcher": options.launcher}
    trials = sweep(settings, out, workers=_count(options.workers), fast=options.fast, **where)
    print(sweep_as_text(trials))
    print(f"\nAll trials are in {out}/trials.csv; on test persons: pppl compare {out}/best.yaml")


def _train(options: argparse.Namespace, overrides: dict[str, Any]) -> None:
    from ..comparison.train import train

    experiment = Experiment.load(options.experiment, overrides, fast=options.fast)
    out = options.out or Path("results") / f"{experiment.name}-train"
    print(train(experiment, out).to_string(index=False))
    print(f"\nNetworks and logs are in {out}")


def _figures(options: argparse.Namespace, _: dict[str, Any]) -> None:
    from ..figures import render

    of = ""
    if options.out is not None and options.out.resolve() != options.results.resolve():
        from ..tables.provenance import data_mark, refuse_other_figures

        refuse_other_figures(options.results, options.out)
        of = data_mark(options.results)
    for path in render(options.results, venue=options.style, out=options.out, of=of):
        print(path)


def _report(options: argparse.Namespace, _: dict[str, Any]) -> None:
    from ..report import report

    print(report(options.results, options.out))


def _results(options: argparse.Namespace, _: dict[str, Any]) -> None:
    if options.action == "merge":
        from ..lab import merge
        from ..report.terminal import as_text

        print(as_text(merge(options.folders, options.out)))
        return
    if options.action == "answers":
        from ..report import answers_of

        print(answers_of(options.folders))
        return
    if options.action == "reproduce":
        from ..comparison.reproduce import KINDS, check, reproduce, reproduction_as_text
        from ..sweeping.sweep_results import SweepResults

        kinds = (*KINDS, SweepResults())
        report = reproduce(options.folders, options.out, kinds=kinds, workers=_count(options.workers))
        print(reproduction_as_text(report))
        check(report)
        return
    if options.action == "confirm":
        from ..comparison.confirm import confirm

        for folder in options.folders:
            print(confirm(folder, persons=options.persons, workers=_count(options.workers)))
        return
    from ..comparison.reproduce import KINDS
    from ..comparison.result_kinds import find_faults
    from ..sweeping.sweep_results import SweepResults

    faults = [
        f"{folder}: {line}" for folder in options.folders for line in find_faults(folder, (*KINDS, SweepResults()))
    ]
    if faults:
        print("\n".join(faults))
        raise UserError(
            f"{len(faults)} findings: run the same experiment with the same --out to compute what is missing"
        )
    print("\n".join(f"{folder}: whole and current" for folder in options.folders))


def _data(options: argparse.Namespace, _: dict[str, Any]) -> None:
    if options.action == "prepare":
        from ..data.prepare import prepare

        print(prepare(options.name))
        return
    from ..data import SOURCES
    from ..system.printable import align

    rows = [("name", "samples", "size", "identities", "licence", "present")]
    rows += [
        (name, f"{s.samples:,}", s.size, s.identities, s.licence, "yes" if s.present() else "no")
        for name, s in SOURCES.items()
    ]
    print("\n".join(align(rows)))


def _bench(options: argparse.Namespace, _: dict[str, Any]) -> None:
    from ..bench import bench

    bench(options.names, options.json)


def _add_experiment(parser: argparse.ArgumentParser) -> None:
    _add_file(parser)
    _add_out(parser)


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=user_path, metavar="DIR", help="results folder (default: below results/)")


def _add_demo(parser: argparse.ArgumentParser) -> None:
    _add_out(parser)
    parser.add_argument("--workers", type=int, metavar="N", help="worker processes (default: one per core)")


def _add_compare(parser: argparse.ArgumentParser) -> None:
    _add_tasks(parser)
    parser.add_argument("--data", metavar="NAME|FILE.npz", help="another data set: see `pppl data list`, or a file")
    parser.add_argument("--tune", action="store_true", help="try the settings in `tuning` on validation persons only")


def _add_tasks(parser: argparse.ArgumentParser) -> None:
    _add_file(parser)
    _add_demo(parser)


def _add_sweep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", type=user_path, metavar="SWEEP.yaml")
    _add_fast(parser)
    _add_demo(parser)
    parser.add_argument("--trials", type=int, metavar="N", help="trials to finish (default: the number in the file)")
    parser.add_argument("--hours", type=float, metavar="H", help="start no trial after H hours")
    shared = "a database that several machines share: postgresql://user@host/database"
    parser.add_argument("--storage", metavar="URL", default="", help=shared)
    parser.add_argument("--launcher", choices=("local", "slurm"), default="local", help="where workers run")
    parser.add_argument("--status", action="store_true", help="show what is done, running, dead, and the best so far")


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", type=user_path, metavar="EXPERIMENT.yaml")
    _add_fast(parser)


def _add_fast(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fast", action="store_true", help="apply the file's section `fast`: a preview in a minute")


def _add_figures(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", type=user_path, metavar="RESULTS_DIR")
    styles = "icml, neurips, ieee or slides"
    parser.add_argument("--style", metavar="NAME", default="icml", help=f"widths and fonts: {styles} (default: icml)")
    parser.add_argument("--out", type=user_path, metavar="DIR", help="another folder for figures and LaTeX tables")


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", type=user_path, metavar="RESULTS_DIR")
    parser.add_argument(
        "--out", type=user_path, metavar="FILE.html", help="the file (default: RESULTS_DIR/report.html)"
    )


def _add_results(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=Parser)
    merge = actions.add_parser("merge", help="join tables of one experiment from several machines")
    merge.add_argument("--out", type=user_path, metavar="DIR", required=True, help="folder of the joined results")
    check = actions.add_parser("check", help="report rows that are missing, contradictory or stale")
    reproduce = actions.add_parser("reproduce", help="compute results again from their run.json, and compare")
    below = Path("results/reproduced")
    reproduce.add_argument("--out", type=user_path, metavar="DIR", default=below, help=f"folder (default: {below})")
    reproduce.add_argument("--workers", type=int, metavar="N", help="worker processes (default: one per core)")
    confirm = actions.add_parser("confirm", help="after a refactoring, renew stamps if recomputed rows are the same")
    persons = "persons of each group whose rows are recomputed (default: 2)"
    confirm.add_argument("--persons", type=_at_least_one, metavar="N", default=2, help=persons)
    confirm.add_argument("--workers", type=int, metavar="N", help="worker processes (default: one per core)")
    answers = actions.add_parser("answers", help="print the answer to each question that the comparisons ask")
    for action in (merge, check, reproduce, confirm, answers):
        action.add_argument("folders", type=user_path, nargs="+", metavar="RESULTS_DIR")


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: at least 1")
    return int(text)


def _add_data(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=Parser)
    actions.add_parser("list", help="show every data set, and whether it is present")
    prepare = actions.add_parser("prepare", help="download a data set, check it and unpack it")
    prepare.add_argument("name", metavar="NAME", help="a name from `pppl data list`")


def _add_bench(parser: argparse.ArgumentParser) -> None:
    names = "gating, loader, surgery, personalize, latency, people, diff, compare, sweep or coverage"
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{names} (default: all)")
    parser.add_argument("--json", type=user_path, metavar="FILE", help="also write the results to a file")


VERBS: dict[str, Verb] = {
    "demo": (_demo, "compare methods of every family on handwritten digits, with figures, in minutes", _add_demo),
    "compare": (_compare, "compare methods on the same persons, support and budgets", _add_compare),
    "tasks": (_tasks, "compare ways to adapt one text encoder to many tasks", _add_tasks),
    "sweep": (_sweep, "search for a method's settings on validation persons", _add_sweep),
    "train": (_train, "train the global networks of an experiment", _add_experiment),
    "figures": (_figures, "draw the figures of a results folder again", _add_figures),
    "report": (_report, "show a results folder as one HTML file", _add_report),
    "results": (_results, "join or check tables of results", _add_results),
    "data": (_data, "list the data sets, or download one", _add_data),
    "bench": (_bench, "measure speed as ratios against named peers", _add_bench),
}
