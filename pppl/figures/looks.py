"""The look of every method in all figures: colours mostly of Okabe and Ito, and a marker and a dash.

Marker and dash tell methods apart in greyscale, too. Built-in methods have theirs here, variants (`METHOD@NAME`) in
`Experiment.looks`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ..config.look_checks import check_looks
from ..system.printable import printable


@dataclass(frozen=True)
class Look:
    """The label, colour, marker and dash of a series."""

    label: str
    colour: str
    marker: str
    dash: str

    @property
    def face(self) -> dict[str, Any]:
        """Fill of the marker; it tells series apart as the dash does, where no line is drawn."""
        return _FACES.get(self.dash, {})


_FACES: dict[str, dict[str, Any]] = {
    "--": {"mfc": "white"},
    ":": {"fillstyle": "left", "markerfacecoloralt": "white"},
    "-.": {"fillstyle": "bottom", "markerfacecoloralt": "white"},
}

# Of looks without a marker, by dash.
_MARKERS = {":": "s", "--": "p", "-.": "X"}

# A method and a control.
Series = tuple[str, str]
# In the order of legends.
LOOKS: dict[Series, Look] = {
    ("full", ""): Look("full network", "#000000", "", "-"),
    ("full+classes", ""): Look("full, person's classes", "#000000", "", ":"),
    ("finetune", ""): Look("full, fine-tuned on the person", "#7f7f7f", "", "--"),
    ("ppp", "own"): Look("PPP, own prototype", "#0072B2", "o", "-"),
    ("ppp", "population"): Look("PPP, everybody's", "#0072B2", "s", "--"),
    ("ppp", "other"): Look("PPP, another person's", "#0072B2", "x", ":"),
    ("ppp", "twin"): Look("PPP, a twin's", "#0072B2", "d", "-."),
    ("ppp", "swap"): Look("PPP, other classes'", "#0072B2", "v", ":"),
    ("ppp", "random"): Look("PPP, random mask", "#56B4E9", "+", ":"),
    ("ppp_dynamic", ""): Look("PPP's gates, each sample its own", "#0072B2", "*", ""),
    ("ppp+bn", ""): Look("PPP, recalibrated", "#44AA99", "h", "--"),
    ("gated", "own"): Look("no prototype loss, own", "#009E73", "^", "-."),
    ("gated_dynamic", ""): Look("no prototype loss, each sample", "#009E73", "d", ""),
    ("l1_local+finetune", ""): Look("L1 + fine-tuning", "#D55E00", "D", "-"),
    ("taylor_local+finetune", ""): Look("Taylor + fine-tuning", "#882255", "8", "-."),
    ("ppp+diff", ""): Look("PPP + diff pruning", "#332288", "p", "-"),
    ("diff", ""): Look("full + diff pruning", "#999933", "", "-."),
    ("diff_elementwise", ""): Look("full + diff pruning, no groups", "#882255", "1", ":"),
    ("onda_hap", ""): Look("OnDA, HAP", "#AA4499", ">", "--"),
    ("onda_l1", ""): Look("OnDA, L1", "#661100", "s", "-."),
    ("onda_hap_tpt", ""): Look("OnDA, HAP, tuned before", "#AA4499", "<", ":"),
    ("onda_l1_tpt", ""): Look("OnDA, L1, tuned before", "#661100", "s", ":"),
    ("l1_local+retrain", ""): Look("L1 + retraining for all", "#117733", "X", "--"),
    ("l1_local+retrain+classes", ""): Look("L1 + retraining, person's classes", "#117733", "X", "-"),
    ("l1_local+retrain+finetune", ""): Look("L1 + retraining + fine-tuning", "#D55E00", "D", "--"),
    ("l1_local+retrain+quant", ""): Look("L1 + retraining, quantized", "#117733", "d", ":"),
    ("ocap", ""): Look("OCAP", "#E69F00", "v", "-"),
    ("capnn", ""): Look("CAP'NN", "#F0E442", "^", "-"),
    ("ocap_frequency", ""): Look("OCAP, votes", "#E69F00", "v", "--"),
    ("taylor_support", ""): Look("Taylor on the person", "#661100", "<", "-."),
    ("taylor_local", ""): Look("Taylor, per layer", "#AA4499", "H", "--"),
    ("l1", ""): Look("L1", "#CC79A7", "P", "-"),
    ("basis", ""): Look("basis pruning", "#777777", "1", "--"),
    ("basis_support", ""): Look("basis pruning on the person", "#777777", "2", "-"),
}
# Label and colour of ways to adapt a text encoder. Each has a row of its own, so none needs a marker or a dash.
TASK_LOOKS: dict[str, tuple[str, str]] = {
    "full": ("full fine-tuning", "#000000"),
    "diff": ("diff pruning", "#0072B2"),
    "diff_elementwise": ("diff pruning, no groups", "#56B4E9"),
    "magnitude_mask": ("magnitude mask", "#009E73"),
    "fisher_mask": ("Fisher mask", "#D55E00"),
    "gradient_mask": ("gradient mask", "#E69F00"),
    "shira": ("SHiRA", "#CC79A7"),
    "lora": ("LoRA", "#882255"),
    "bias_norm": ("biases and norms", "#999933"),
    "last_layer": ("last layer", "#7f7f7f"),
}
# Parts of the look of static pruning: a criterion gives label, colour and marker; a scope (how layers are compared)
# gives label and dash; a step after pruning gives a label.
_CRITERIA = {
    "l1": ("L1", "#CC79A7", "P"),
    "l2": ("L2", "#882255", "h"),
    "bn_scale": ("BN scale", "#44AA99", "s"),
    "fpgm": ("FPGM", "#117733", "^"),
    "lamp": ("LAMP", "#999933", "v"),
    "taylor": ("Taylor", "#AA4499", "H"),
    "hessian": ("Hessian", "#332288", "D"),
    "random": ("random channels", "#777777", "x"),
    "taylor_support": ("Taylor on the person", "#661100", "<"),
    "hessian_support": ("Hessian on the person", "#0072B2", ">"),
}
_SCOPES = {"": ("", "-"), "_local": (", per layer", "--"), "_isomorphic": (", isomorphic", ":")}
_STEPS = {
    "finetune": " + fine-tuning",
    "retrain": " + retraining",
    "diff": " + diff pruning",
    "bn": ", recalibrated",
    "quant": ", quantized",
    "classes": ", person's classes",
    "prototypes": ", nearest class mean",
    "t3a": ", T3A",
    "tent": ", entropy minimized",
}
_DASHES = ("-", "--", "-.", ":")
_SPARE = ("#882255", "#44AA99", "#AA4499", "#117733", "#661100")


@dataclass(frozen=True)
class Looks:
    """The looks of methods, in the order of legends.

    >>> Looks().look("l1_local+bn", "").label
    'L1, per layer, recalibrated'

    - `known`: by method and control; those of others follow from the parts of their names.
    """

    known: Mapping[Series, Look] = field(default_factory=lambda: LOOKS)

    @classmethod
    def of(cls, given: Mapping[str, Mapping[str, str]]) -> "Looks":
        """Return the built-in looks with those of an experiment (`Experiment.looks`). What these leave out is derived.

        >>> Looks.of({"ppp@mine": {"label": "mine", "colour": "#C51B7D"}}).look("ppp@mine+bn", "own").label
        'mine, recalibrated'

        Raise `UserError`, naming the key, for one that cannot be drawn.
        """
        check_looks(given)
        parts = {series: each for name, each in given.items() for series in _series_of(name)}
        known = dict(LOOKS)
        for method, control in sorted(parts, key=lambda series: ("+" in series[0], "@" in series[0])):  # bases first
            known[method, control] = replace(cls(known).look(method, control), **parts[method, control])
        return cls({series: known[series] for series in _ordered(list(parts))})

    @classmethod
    def of_run(cls, run: Mapping[str, Any]) -> "Looks":
        """Return the looks of the experiment in a `run.json`; the built-in ones if it gives none."""
        config = run.get("config")
        return cls.of(config.get("looks", {})) if isinstance(config, Mapping) else cls()

    def look(self, method: str, control: str) -> Look:
        """Return the look of a series: a known one, else that of its criterion, else a spare colour and dash.

        A name always has the same look.

        >>> Looks().look("l1_local+bn", "").label, Looks().look("mine", "own").label
        ('L1, per layer, recalibrated', 'mine, own')
        """
        if (method, control) in self.known:
            return self.known[method, control]
        first, *steps = method.split("+")
        after = "".join(_step(step) for step in steps)
        scope = next((end for end in _SCOPES if end and first.endswith(end)), "")
        if first.removesuffix(scope) in _CRITERIA:
            (label, colour, marker), (how, dash) = _CRITERIA[first.removesuffix(scope)], _SCOPES[scope]
            return Look(f"{label}{how}{after}", colour, marker, dash)
        number, colour = divmod(sum(map(ord, method + control)), len(_SPARE))
        label = printable(self._first(first, control) + after)
        return Look(label, _SPARE[colour], "*", _DASHES[number % len(_DASHES)])

    def rank(self, method: str, control: str) -> tuple[int, str]:
        """Return a sorting key: the order of known looks, then by name."""
        places = list(self.known)
        series = method, control
        return (places.index(series) if series in self.known else len(places), f"{method} {control}")

    def _first(self, method: str, control: str) -> str:
        """Return the label of a method without its steps, with the name of its variant, if any."""
        kind, _, variant = method.partition("@")
        for known, more in ((method, ""), (kind, f" ({variant})")):
            for each in (control,) if control else ("", "own"):
                if (known, each) in self.known:
                    return self.known[known, each].label + more
        return f"{method}, {control}" if control else method


BUILT_IN = Looks()


def _series_of(name: str) -> list[Series]:
    """Return the method and control that a name in `Experiment.looks` stands for.

    A name without a control stands for the own samples, and for a method that has no controls.

    >>> _series_of("ppp@mine other"), _series_of("ppp"), _series_of("mine")
    ([('ppp@mine', 'other')], [('ppp', 'own')], [('mine', ''), ('mine', 'own')])
    """
    method, _, control = name.partition(" ")
    series = [(method, control)] if control else [(method, ""), (method, "own")]
    return [each for each in series if each in LOOKS] or series


def _ordered(given: list[Series]) -> list[Series]:
    """Return the built-in series with those given: the first behind its base method, others behind the one before."""
    order = list(LOOKS)
    for before, series in zip([None, *given], given, strict=False):
        if series in LOOKS:
            continue
        base = series[0].split("+")[0].split("@")[0]
        of_base = [place for place, (method, _) in enumerate(order) if method == base]
        behind = of_base[-1] if of_base else len(order) - 1
        order.insert((behind if before is None else order.index(before)) + 1, series)
    return order


def _step(name: str) -> str:
    """Return what a step adds to a label, with the name of its variant, if any."""
    kind, at, variant = name.partition("@")
    return _STEPS.get(kind, f" + {kind}") + f" ({variant})" * bool(at)


def task_look(method: str) -> tuple[str, str]:
    """Return the label and colour of a way to adapt an encoder.

    >>> task_look("lora")
    ('LoRA', '#882255')
    """
    return TASK_LOOKS.get(method, (printable(method), _SPARE[sum(map(ord, method)) % len(_SPARE)]))


def label_task(method: str) -> str:
    """Return the label of a way to adapt an encoder.

    >>> label_task("magnitude_mask")
    'magnitude mask'
    """
    return task_look(method)[0]


def task_rank(method: str) -> tuple[int, str]:
    """Return a sorting key: the order of `TASK_LOOKS`, then by name."""
    keys = list(TASK_LOOKS)
    return (keys.index(method) if method in TASK_LOOKS else len(keys), method)


def draw_series(rows: pd.DataFrame, x: np.ndarray, style: Look, ax: Axes, *, joined: bool = True) -> None:
    """Draw the scores of `rows` over `x`, with 95 % intervals, and join them by a line.

    A look that is a line alone has a marker if nothing is joined.
    """
    spread = [rows["score"] - rows["score_low"], rows["score_high"] - rows["score"]]
    ax.errorbar(
        x,
        rows["score"],
        yerr=[side.clip(lower=0) for side in spread],
        color=style.colour,
        marker=style.marker if style.marker or joined else _MARKERS.get(style.dash, "o"),
        ls=style.dash if joined else "",
        **style.face,
        capsize=1.5,
        elinewidth=0.8,
        label=style.label,
    )
