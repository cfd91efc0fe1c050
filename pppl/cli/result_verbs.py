"""Results, data sets and benchmarks."""

import argparse
from pathlib import Path
from typing import Any

from ..config import Experiment
from ..system.errors import UserError
from .verb import Parser, Verb, user_path, worker_count


def _figures(options: argparse.Namespace, _: dict[str, Any]) -> None:
    from ..figures import render

    of = ""
    if options.out is not None and options.out.resolve() != options.results.resolve():
        from ..tables.provenance import data_mark, refuse_other_figures

        refuse_other_figures(options.results, options.out)
        of = data_mark(options.results)
    methods = () if options.methods is None else _names("--methods", options.methods)
    for path in render(
        options.results, venue=options.style, columns=options.columns, methods=methods, out=options.out, of=of
    ):
        print(path)


def _names(key: str, text: str) -> list[str]:
    """Return the names in a list such as `[full, ppp]`. Raise `UserError` for anything else."""
    from ..config.plain_yaml import read_yaml

    names = read_yaml(text)
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise UserError(f"{key} is {text}: write a list such as '[full, ppp]'")
    return names


def _report(options: argparse.Namespace, _: dict[str, Any]) -> None:
    from ..report import report

    one, *others = options.results
    if len(others) > 1:
        raise UserError(f"a report compares two folders, not {len(options.results)}: name two")
    beside = others[0] if others else None
    print(report(one, options.out, beside=beside, reference=options.reference, against=options.against))


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
        from ..comparison.reproduce import check, reproduce, reproduction_as_text
        from ..comparison.result_kinds import KINDS
        from ..sweeping.sweep_results import SweepResults

        kinds = (*KINDS, SweepResults())
        report = reproduce(options.folders, options.out, kinds=kinds, workers=worker_count(options.workers))
        print(reproduction_as_text(report))
        check(report)
        return
    if options.action == "confirm":
        from ..comparison.confirm import confirm

        if options.against is not None and len(options.folders) > 1:
            raise UserError("--against stands in for one RESULTS_DIR: confirm the others by themselves")
        workers = worker_count(options.workers)
        for folder in options.folders:
            print(confirm(folder, persons=options.persons, workers=workers, against=options.against))
        return
    from ..comparison.result_kinds import KINDS, find_faults
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


def _data(options: argparse.Namespace, overrides: dict[str, Any]) -> None:
    if options.action == "check":
        _check_data(options.data, overrides)
        return
    if overrides:
        raise UserError(f"unknown argument '--{next(iter(overrides))}': see `pppl data {options.action} --help`")
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


def _check_data(name: str, overrides: dict[str, Any]) -> None:
    from ..data.catalogue import read_data
    from ..data.inspection import inspect
    from ..system.printable import align

    if name.endswith((".yaml", ".yml")):
        experiment = Experiment.load(name, overrides)
    else:
        experiment = Experiment().replace(**{"data.name": name}).override(overrides)
    print("\n".join(align(inspect(read_data(experiment.data), experiment.persons))))


def _bench(options: argparse.Namespace, _: dict[str, Any]) -> None:
    from ..bench import bench

    bench(options.names, options.json)


def _add_figures(parser: argparse.ArgumentParser) -> None:
    of = "folder of `pppl compare`, `tasks` or `sweep`"
    parser.add_argument("results", type=user_path, metavar="RESULTS_DIR", help=of)
    styles = "icml, neurips, ieee or slides"
    parser.add_argument("--style", metavar="NAME", default="icml", help=f"widths and fonts: {styles} (default: icml)")
    wide = "how many columns of a page figures are wide, 1 or 2 (default: 2)"
    parser.add_argument("--columns", type=int, metavar="N", default=2, help=wide)
    shown = "methods to show, such as '[full, ppp, ppp twin]' (default: all)"
    parser.add_argument("--methods", metavar="LIST", help=shown)
    parser.add_argument("--out", type=user_path, metavar="DIR", help="another folder for figures and LaTeX tables")


def _add_report(parser: argparse.ArgumentParser) -> None:
    two = "a results folder; with a second one, both side by side"
    parser.add_argument("results", type=user_path, nargs="+", metavar="RESULTS_DIR", help=two)
    where = "the file (default: RESULTS_DIR/report.html); needed for two folders"
    parser.add_argument("--out", type=user_path, metavar="FILE.html", help=where)
    reference = "the method that all others are compared with (default: the experiment's reference)"
    parser.add_argument("--reference", default="", metavar="METHOD", help=reference)
    against = "the method that persons are held against in the gallery (default: full+classes, or full)"
    parser.add_argument("--against", default="", metavar="METHOD", help=against)


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
    against = "rows to compare with instead: of the code before, from this machine"
    confirm.add_argument("--against", type=user_path, metavar="DIR", help=against)
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
    told = "tell what data hold, what may be a mistake, and what can be compared"
    check = actions.add_parser("check", help=told, description=told)
    check.epilog = "Keys of an experiment can be set: --data.columns.label activity --persons.shots 3"
    data = "a name of `pppl data list`, a file, a folder, hf:OWNER/NAME, or the file of an experiment"
    check.add_argument("data", metavar="DATA", help=data)


def _add_bench(parser: argparse.ArgumentParser) -> None:
    names = "gating, loader, surgery, personalize, adapt, latency, people, diff, compare, sweep or coverage"
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{names} (default: all)")
    parser.add_argument("--json", type=user_path, metavar="FILE", help="also write the results to a file")


VERBS: dict[str, Verb] = {
    "figures": (_figures, "draw the figures of a results folder again", _add_figures),
    "report": (_report, "show a results folder as one HTML file", _add_report),
    "results": (_results, "join or check tables of results", _add_results),
    "data": (_data, "list data sets, download one, or check your own", _add_data),
    "bench": (_bench, "measure speed as ratios against named peers", _add_bench),
}
