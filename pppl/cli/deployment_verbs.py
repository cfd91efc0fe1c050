"""Verbs that bring a trained network to a person's device: `personalize`, `predict`, `latency`."""

import argparse
from typing import Any

from ..system.errors import UserError
from ..system.plugins import load_plugins
from .verb import Verb, user_path


def _personalize(options: argparse.Namespace, _: dict[str, Any]) -> None:
    from ..deploy import DeployRequest, Limit
    from ..deploy.deploy_text import deployment_as_text
    from ..deploy.personalize import personalize

    request = DeployRequest(
        limit=Limit.parse(options.budget),
        method=options.method,
        formats=tuple(options.export),
        raw_audio=options.raw_audio,
        classes=options.classes,
        cut=options.cut_classes,
        round_to=0 if options.round_to == "auto" else _positive("--round-to", options.round_to),
    )
    if options.cut_classes and not options.classes:
        raise UserError("--cut-classes cuts what --classes finds unused: give --classes, too")
    report = personalize(options.run, options.data, request, options.out, seed=options.seed, queries=options.queries)
    print(deployment_as_text(report))
    print(f"\nAll files are in {options.out}")
    if exports := [str(options.out / name) for name in report["files"] if name.endswith(".onnx")]:
        hears = ", log-mel's part among it" if options.raw_audio else ""
        print(f"How long a sample takes, beside the full network{hears}: pppl latency {' '.join(exports)}")


def _positive(name: str, text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise UserError(f"{name} is {text}: it must be auto or a number of channels")
    return int(text)


def _predict(options: argparse.Namespace, _: dict[str, Any]) -> None:
    from ..deploy.class_scores import scores_as_text
    from ..deploy.predict import predict

    load_plugins(options.plugin)
    predictions = predict(options.model, options.files)
    for each in predictions:
        print(f"{each.name}  {each.label}" + (f"  {each.probability:.3f}" if each.probability is not None else ""))
    labelled = [each for each in predictions if each.truth]
    if labelled:
        print("\n" + scores_as_text([each.truth for each in labelled], [each.label for each in labelled]))


def _latency(options: argparse.Namespace, _: dict[str, Any]) -> None:
    from ..deploy.deploy_text import latency_as_text
    from ..deploy.latency import latency

    load_plugins(options.plugin)
    print(latency_as_text(latency(options.files, threads=options.threads), options.threads))


def _add_personalize(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=user_path, metavar="RUN_DIR", help="folder of `pppl train`")
    person = parser.add_argument_group("the person")
    person.add_argument(
        "--data", required=True, metavar="FILE|FOLDER|-", help="the person's samples; - for a list of files"
    )
    person.add_argument(
        "--queries", default="", metavar="FILE|FOLDER", help="other labelled samples to measure the accuracy on"
    )
    prior = "correct the classifier for the person's classes, without labels: votes (the default), mean or em"
    rules = ("votes", "mean", "em")
    person.add_argument("--classes", nargs="?", const="votes", default="", choices=rules, metavar="RULE", help=prior)
    person.add_argument("--cut-classes", action="store_true", help="remove the outputs of classes that are not used")
    network = parser.add_argument_group("the network")
    limits = "0.25 (of the MACs), 0.25params, 40kB or 2.5ms (ONNX Runtime, one thread)"
    network.add_argument("--budget", required=True, metavar="B", help=limits)
    network.add_argument("--method", default="ppp", help="a method of the run (default: ppp)")
    network.add_argument("--seed", type=int, metavar="N", help="the seed of the networks (default: the run's first)")
    rounding = "keep multiples of N channels per layer; auto: the multiple that is fastest per MAC here (default: 1)"
    network.add_argument("--round-to", default="1", metavar="N|auto", help=rounding)
    files = parser.add_argument_group("the files")
    files.add_argument("--out", type=user_path, required=True, metavar="DIR", help="folder for the person's files")
    formats = "onnx, onnx-int8, torch, executorch (default: onnx)"
    files.add_argument("--export", nargs="*", default=["onnx"], metavar="FORMAT", help=formats)
    files.add_argument("--raw-audio", action="store_true", help="export networks that take waveforms, not log-mel")


def _add_predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=user_path, metavar="PERSONAL.onnx", help="or a personal model file")
    parser.add_argument("files", nargs="+", metavar="FILE", help="recordings, images or arrays; - for a list of files")
    _add_plugin(parser)


def _add_latency(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", type=user_path, nargs="+", metavar="FILE", help="files of `pppl personalize`")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads of each engine (default: 1)")
    _add_plugin(parser)


def _add_plugin(parser: argparse.ArgumentParser) -> None:
    what = "your code that a network is made of: a Python file or a module; may be repeated"
    parser.add_argument("--plugin", action="append", default=[], metavar="FILE.py", help=what)


VERBS: dict[str, Verb] = {
    "personalize": (_personalize, "make a person's small network from a few samples, and export it", _add_personalize),
    "predict": (_predict, "classify recordings, images or arrays with an exported network", _add_predict),
    "latency": (_latency, "time exported networks and the full ones", _add_latency),
}
