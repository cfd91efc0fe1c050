"""The command `pppl personalize`: from a few samples of a person to a small network in files for their device."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..backbones import Backbone, predict_classes
from ..data.samples import Samples, read_samples
from ..personalizers import PersonalModel
from ..system.errors import UserError, unknown
from ..system.files import claim, expand, output_folder, remove_if_ours, replacing, write_bytes
from ..system.tracking import notice
from ..tables.provenance import read_run
from ..tasks import TASKS
from .class_scores import compare_classes, wilson
from .deployed_person import DeployedPerson
from .fitting import Rounding
from .formats import FORMATS
from .graph import Deployed
from .onnx_file import open_onnx_bytes
from .request import DeployRequest
from .told_classes import read_classes, warn_of_guessing, warn_of_harm, warn_of_lost_classes, warn_of_unseen_classes
from .trained_run import TrainedRun

# Largest difference between outputs of an export and PyTorch's, relative to the largest output if that is above 1.
_TOLERANCE = 1e-4
_THIN = ".thin"
# A network that takes less of its limit than this leaves something unused.
_WELL_USED = 0.9


def personalize(
    folder: str | Path,
    data: str | Path,
    wish: DeployRequest,
    out: str | Path,
    *,
    seed: int | None = None,
    queries: str | Path = "",
) -> dict[str, Any]:
    """Make a person's network from a run of `pppl train`. Write it with its thin form, exports and `report.json`.

    ```python
    personalize("results/base", "person.npz", DeployRequest(limit=Limit.parse("0.25")), "results/person")
    ```

    **Arguments:**

    - `folder`: the output folder of `pppl train`.
    - `data`: the person's samples, labelled or not, as a source for `read_samples`.
    - `wish`: the options.
    - `out`: the folder for the person's files.
    - `seed`: the seed whose networks are used; by default the run's first.
    - `queries`: other, labelled samples for which accuracies are reported; by default those of `data`.

    **Returns:** the report: channels kept, costs, accuracies if there are labels, and files.

    Raise `UserError` if something is missing or cannot be read, or if the limit cannot be met.
    """
    for name in wish.formats:
        if name not in FORMATS:
            raise unknown("export format", name, FORMATS)
    run = TrainedRun.open(folder, seed)
    data = str(data)
    samples = read_samples(data, run.preprocessing)
    queried = read_samples(str(queries), run.preprocessing) if queries else samples
    notice(f"{data}: {samples}")
    for note in (*samples.notes, *(queried.notes if queries else ())):
        notice(note)
    folder = output_folder(out)
    origin = _origin(data, samples)
    _refuse_another_person(folder, origin)
    ends = [end for end in _suffixes(wish.formats) if end != _THIN]  # not every method has a thin form
    claim([folder / "report.json", *(folder / f"personal{end}" for end in ends)])
    method = f"{wish.method}+classes" if wish.classes else wish.method
    person = DeployedPerson(run, samples, method, wish.limit, settings=wish.settings, raw_audio=wish.raw_audio)
    fixed = Rounding(round_to=wish.round_to, reason="as asked for")
    rounding = fixed if wish.round_to else person.rounding()
    model = person.model(rounding.round_to)
    _tell_unused(person, model, rounding)
    deployed = person.deployed(model.module)
    inputs = _Inputs(deployed, queried)
    report = {"samples": origin} | _costs(person, model, rounding)
    if model.classes is not None:
        report |= {"classes": read_classes(model.classes, run.preprocessing.classes, len(person.support.x))}
    if "classes" in inputs.task.offers:
        report |= {"by_class": _by_class(person, model)}
    scored = "accuracy" if "classes" in inputs.task.offers else "scores"
    report |= {scored: _scores(person, model, inputs)}
    return _write_files(folder, person, model, deployed, inputs, wish.formats, report)


def _suffixes(formats: Iterable[str]) -> list[str]:
    """List the suffixes of a person's files, with exports in these formats."""
    return [".safetensors", _THIN, *(FORMATS[name][1] for name in formats)]


def _origin(data: str, samples: Samples) -> dict[str, str]:
    """Return the identity of a person: the path of their samples, and the hash of these."""
    values = np.ascontiguousarray(samples.values.numpy())
    where = "" if data == "-" else str(expand(data).absolute())
    return {"path": where, "sha256": hashlib.sha256(f"{values.shape}".encode() + values.tobytes()).hexdigest()}


def _refuse_another_person(folder: Path, origin: dict[str, str]) -> None:
    """Raise `UserError` if a folder holds files made from samples with another path and another hash."""
    before = read_run(folder, "report.json").get("samples")
    if isinstance(before, dict) and not any(origin[key] and origin[key] == before.get(key) for key in origin):
        where = f" ({before['path']})" if before.get("path") else ""
        raise UserError(f"{folder} holds the files of another person{where}: name another --out, or move them away")


class _Inputs:
    """The samples for measuring accuracy: as inputs of exports (`given`) and of networks (`inputs`)."""

    def __init__(self, deployed: Deployed, samples: Samples):
        self.labels, self.task = samples.labels, TASKS.find(deployed.preprocessing.task)
        self.given = samples.given(raw_audio=deployed.log_mel is not None)
        self.inputs = deployed.preprocessing(samples.values)

    def score(self, network: Backbone, outputs: torch.Tensor) -> dict[str, float] | None:
        """Return the score of a network's outputs, an accuracy with its 95 % Wilson interval; None without labels."""
        if self.labels is None:
            return None
        if self.labels.is_floating_point():
            return {**self.task.score(outputs, self.labels), "n": len(self.labels)}
        right = int((predict_classes(network, outputs) == self.labels).sum())
        return wilson(right, len(self.labels))


@torch.inference_mode()
def _scores(person: DeployedPerson, model: PersonalModel, inputs: _Inputs) -> dict[str, Any]:
    if inputs.labels is None:
        return {}
    full = person.global_model.full
    corrected = {"full with the person's classes": person.with_classes()} if inputs.task.offers >= {"classes"} else {}
    networks = {"full": full, **corrected, "personal": model.module}
    in_units = person.run.preprocessing.in_units
    scores = {name: inputs.score(network, in_units(network(inputs.inputs))) for name, network in networks.items()}
    if "classes" in inputs.task.offers:
        warn_of_guessing(scores, len(inputs.labels.unique()))
    warn_of_harm(scores)
    return scores


@torch.inference_mode()
def _by_class(person: DeployedPerson, model: PersonalModel) -> dict[str, Any]:
    """Return how each class of the person's own samples fares under the full and the personal network.

    Without labels, the classes are those that the full network predicts.
    """
    names, x = person.run.preprocessing.classes, person.support.x
    full, own = (
        [names[label] for label in predict_classes(network, network(x)).tolist()]
        for network in (person.global_model.full, model.module)
    )
    truths = [names[label] for label in person.support.y.tolist()] if person.has_labels else full
    compared = sorted(compare_classes(truths, full, own), key=lambda each: names.index(each.name))
    if not person.has_labels:
        warn_of_unseen_classes(full, names, len(full))
    warn_of_lost_classes(compared, labelled=person.has_labels)
    return {"labelled": person.has_labels, "classes": [each.to_dict() for each in compared]}


def _costs(person: DeployedPerson, model: PersonalModel, rounding: Rounding) -> dict[str, Any]:
    full = person.global_model.cost.full
    groups = zip(person.global_model.full.groups, model.module.widths, person.global_model.full.widths, strict=True)
    took = {"milliseconds": person.took(model)} if person.limit.unit == "ms" else {}
    return {
        "method": person.method,
        "limit": str(person.limit),
        "rounding": asdict(rounding),
        "macs": {"personal": model.cost.macs, "full": full.macs},
        "params": {"personal": model.cost.params, "full": full.params},
        "kept": {group.producer: [kept, whole] for group, kept, whole in groups},
        "seconds": model.seconds,
        **took,
    }


def _tell_unused(person: DeployedPerson, model: PersonalModel, rounding: Rounding) -> None:
    """Print a notice if a fraction of the cost is allowed that the network does not come near."""
    limit, full = person.limit, person.global_model.cost.full
    shares = {"macs": model.cost.macs / full.macs, "params": model.cost.params / full.params}
    share = shares.get(limit.unit)
    if share is not None and share < _WELL_USED * limit.value:
        why = "one channel more in its layers would exceed it"
        if (most := person.most_budget) < limit.value:
            why = f"its gates were trained for at most {most:g} (person_training.most)"
        elif rounding.round_to > 1:
            why = f"layers keep multiples of {rounding.round_to} channels"
        notice(f"the network takes {share:.1%} where {limit.value:.1%} is allowed: {why}")


def _write_files(
    folder: Path,
    person: DeployedPerson,
    model: PersonalModel,
    deployed: Deployed,
    inputs: _Inputs,
    formats: tuple[str, ...],
    report: dict[str, Any],
) -> dict[str, Any]:
    """Write all files, and the report with their sizes."""
    files: dict[str, bytes] = {"personal.safetensors": person.file(model.module).to_bytes()}
    if (thin := person.thin(model)) is not None:
        files["personal.thin"] = thin.to_bytes()
    meta = person.meta(model)
    differences = {}
    for name in formats:
        export, suffix = FORMATS[name]
        files[f"personal{suffix}"] = export(deployed, meta | {"format": name})
        if name.startswith("onnx"):
            logits = torch.from_numpy(open_onnx_bytes(files[f"personal{suffix}"])(inputs.given.numpy()))
            differences[name] = _difference(deployed, inputs, logits, exact=name == "onnx")
            if name == "onnx-int8":
                own = {"personal, int8": inputs.score(model.module, logits)} if inputs.labels is not None else {}
                report["accuracy" if "accuracy" in report else "scores"] |= own
    claim(map(folder.joinpath, files))  # checked for all files before the first is written
    for name, content in files.items():
        write_bytes(folder / name, content)
    # Files of an earlier call with other formats.
    remove_if_ours(path for end in _suffixes(FORMATS) if (path := folder / f"personal{end}").name not in files)
    report |= {"files": {name: len(content) for name, content in files.items()}, "off_by": differences}
    with replacing(folder / "report.json") as path:
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


@torch.inference_mode()
def _difference(deployed: Deployed, inputs: _Inputs, logits: torch.Tensor, *, exact: bool) -> float:
    """Return the largest difference between the outputs of an export and those of PyTorch.

    **Arguments:**

    - `exact`: whether only rounding may make them differ. Its tolerance is relative to the size of the outputs.

    Raise `UserError` if they differ by more, or if PyTorch's outputs are not finite. The latter is no fault of the
    export.
    """
    expected = deployed(inputs.given)
    if not expected.isfinite().all():
        raise UserError("the personal network's outputs for these samples are not finite: check their range and unit")
    off = (expected - logits).abs().max().item()
    if exact and not off <= _TOLERANCE * max(1.0, expected.abs().max().item()):
        raise UserError(
            f"outputs of the exported ONNX file differ from PyTorch's by {off:.2g}: please report this network"
        )
    return off
