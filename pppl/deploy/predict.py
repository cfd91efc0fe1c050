"""Classification of recordings, images or arrays by an exported file or a personal model file."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ..data.preprocessing import Preprocessing
from ..data.samples import read_files, read_samples
from ..system.errors import UserError
from ..system.files import expand
from ..system.tracking import notice
from .graph import Deployed
from .onnx_file import open_onnx
from .personal_file import read_personal

_BATCH = 256


class Prediction(NamedTuple):
    """A sample's name, its predicted class with its probability, or the predicted numbers without one.

    - `truth`: the class that the sample's folder or file says; empty if it says none, and for numbers.
    """

    name: str
    label: str
    probability: float | None
    truth: str = ""


def predict(model: str | Path, sources: Sequence[str | Path]) -> list[Prediction]:
    """Predict the class, or the numbers, of samples, in order.

    ```python
    predict("personal.onnx", ["one.png", "two.png"])
    ```

    **Arguments:**

    - `model`: a `.onnx` file of `pppl personalize`, or a personal model file.
    - `sources`: files of one kind, or a single source for `read_samples`: a folder, an `.npz` file or `-`.

    Raise `UserError`, with the name of the file, if a file cannot be used.
    """
    run, preprocessing, classes, raw_audio = _open_model(expand(model))
    if len(sources) == 1:
        samples = read_samples(str(sources[0]), preprocessing)
    else:
        samples = read_files([expand(source) for source in sources], preprocessing)
    for note in samples.notes:
        notice(note)
    given = samples.given(raw_audio=raw_audio).numpy()
    logits = np.concatenate([run(given[start : start + _BATCH]) for start in range(0, len(given), _BATCH)])
    known = preprocessing.classes  # of all classes; the network may have fewer outputs
    if not classes:
        numbers = (" ".join(f"{value:.5g}" for value in row) for row in logits)
        return [Prediction(name, label, None) for name, label in zip(samples.names, numbers, strict=True)]
    odds = np.exp(logits - logits.max(1, keepdims=True))
    probabilities = odds / odds.sum(1, keepdims=True)
    best = probabilities.argmax(1)
    truths = [""] * len(best) if samples.labels is None else [known[label] for label in samples.labels.tolist()]
    return [
        Prediction(name, classes[int(label)], float(row[label]), truth)
        for name, label, row, truth in zip(samples.names, best, probabilities, truths, strict=True)
    ]


class _Model(NamedTuple):
    """An open model: the function that runs it, its preprocessing, and the class names of its outputs."""

    run: Callable[[np.ndarray], np.ndarray]
    preprocessing: Preprocessing
    classes: Sequence[str]
    raw_audio: bool


def _open_model(model: Path) -> _Model:
    if model.suffix == ".onnx":
        session = open_onnx(model)
        try:
            preprocessing = Preprocessing.from_json(json.dumps(session.meta["preprocessing"]))
            classes = [str(name) for name in session.meta.get("classes", preprocessing.classes)]
            return _Model(session, preprocessing, classes, bool(session.meta["raw_audio"]))
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{model} has no description of its inputs: export it again with `pppl personalize`"
            ) from error
    file = read_personal(model)
    deployed = Deployed(file.network, file.preprocessing)

    def run(values: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return deployed(torch.from_numpy(values)).numpy()

    return _Model(run, file.preprocessing, file.classes, False)
