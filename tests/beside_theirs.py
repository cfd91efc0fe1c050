"""The table of what papers report beside what we get: theirs with its source, ours from the tables in results."""

from pathlib import Path
from typing import Any

import pandas as pd

from pppl.report.markdown import markdown_table
from pppl.tables.schema import read_frame

_HEAD = ("what", "they report", "we get", "what differs")


def table(results: Path) -> str:
    """Return the table in Markdown; `results` is the folder of reference results."""
    text, digits, mobilenet = (_Means(results / name) for name in ("minilm", "digits", "cifar10_mobilenet"))
    photographs, keywords = (_Means(results / name) for name in ("photographs", "keywords"))
    everything = {"task": "average"}
    two = {"persons": "2 classes"}
    rows = [
        (
            "Diff pruning, a difference of 0.5 % of the weights",
            "BERT-large, GLUE test average without QNLI: 80.6 with structured diff pruning, 80.6 fine-tuned whole, "
            "68.2 the last layer (Guo, Rush, Kim 2021)",
            f"{text('diff', **everything)} with structured diff pruning, {text('full', **everything)} fine-tuned "
            f"whole, {text('last_layer', **everything)} the last layer",
            "MiniLM of 23 M parameters, not 340 M; CoLA, MRPC, RTE and CLINC150, development sets, three seeds; the "
            "intervals of the first two overlap, as theirs are equal",
        ),
        (
            "Basis pruning, without fine-tuning",
            "up to 98.9 % of the parameters and 98.6 % of the FLOPs go within 1 % of the accuracy, in transfer "
            "learning (Wong et al. 2024)",
            f"digits, 2 of 10 classes, a quarter of the MACs: {digits('basis', 0.25, **two)}, full "
            f"{digits('full', 1.0, **two)}",
            "0.9 MMACs, trained on this task; theirs are large networks from another task, which may leave most "
            "directions unused",
        ),
        (
            "OnDA with HAP, on pseudo-labels",
            "a model up to 9.63 times smaller at the same accuracy at 0.5 false alarms an hour (HeySnips, "
            "HeySnapdragon; Risso et al. 2026)",
            f"a tenth of the MACs: digits, 2 of 10 classes, {digits('onda_hap', 0.1, **two)}, full "
            f"{digits('full', 1.0, **two)}; MobileNetV2 on photographs {mobilenet('onda_hap', 0.1)}, full "
            f"{mobilenet('full', 1.0)}",
            "one wake word against ten classes; their user data are more than our 10 to 15 samples",
        ),
        (
            "ResNet-20 on CIFAR-10",
            "8.27 % test error among all ten classes (the public weights' page)",
            f"{photographs('full', 1.0)} among all ten classes",
            "ours is asked images that went through JPEG, after five more passes over 1,800 of them; their weights on "
            "our images, before any training of ours, are lower still",
        ),
        (
            "Keyword spotting in small networks",
            "98.0 and 98.7 % on Speech Commands v1 and v2, BC-ResNet-8 (Kim et al. 2021)",
            f"tc_resnet8, speakers whom training never met: {keywords('full', 1.0, seen=False)}; seen ones "
            f"{keywords('full', 1.0, seen=True)}",
            "40 Arabic keywords, 20 speakers in training with ten recordings of each, ten passes, 0.8 MMACs; theirs "
            "has more than 2,000 speakers and up to 89 MMACs",
        ),
        (
            "Prototype-based Personalized Pruning",
            "no number: only the abstract and the introduction could be read",
            "see above",
            "all of it is a reconstruction",
        ),
    ]
    return markdown_table(_HEAD, rows)


class _Means:
    """The scores of a results folder, with their intervals, as they are written in the table."""

    def __init__(self, folder: Path):
        self._summary = read_frame(folder / "summary.csv")

    def __call__(self, method: str, budget: float = 0.0, **of: Any) -> str:
        rows: pd.DataFrame = self._summary.loc[self._summary["method"] == method]
        for name, value in ({"budget": budget} if budget else {}).items() | of.items():
            rows = rows.loc[rows[name] == value]
        (row,) = rows.to_dict("records")
        return "{:.1f} [{:.1f}, {:.1f}]".format(*(100 * row[f"score{end}"] for end in ("", "_low", "_high")))
