"""Explorer of a finished run, for notebooks: choose person, method and budget, and see the network that comes of it."""

import io
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from torch import nn

from ..backbones import artifact_bytes, evaluating, whole_outputs
from ..data import Person
from ..figures.person_panel import PersonPanel, Share, person_figure
from ..personalizers import PersonalModel
from ..personalizers.shown import list_layers
from ..system.errors import UserError
from ..system.extras import Needing
from ..training.modules import channels_last
from .runs import LoadedRun

_CLASSES = "+classes"
_KEPT = 128  # pictures that stay at hand, of some 50 kB each
_DPI = 110
_HINT = "controls: run this cell in JupyterLab to choose person, method, budget, +classes and shots"


def explore(run: LoadedRun) -> "Explorer":
    """Return an explorer of a run: controls, and below them a picture of the network that they choose.

    A notebook shows both; on a page where nothing runs the picture remains.

    ```python
    explorer = explore(load_run("results/quickstart"))
    explorer.method.value, explorer.classes.value = "l1_local+retrain", True
    explorer.view.accuracy, explorer.view.interval
    ```

    Raise `UserError` if ipywidgets is not installed, or if the data have no classes.
    """
    return Explorer(run)


class Explorer:
    """Controls and a picture of one person's network. `explore` makes it.

    - `person`, `method`, `budget`, `classes`, `shots`: controls of ipywidgets; `value` may be set.
    - `view`: what the picture shows: accuracies with intervals, confusions, channels and costs.
    - `png`: the picture as a PNG file.
    """

    view: PersonPanel
    png: bytes

    def __init__(self, run: LoadedRun):
        widgets = _ipywidgets()
        if not run.dataset.classes:
            raise UserError(f"explore shows confusions of classes, but {run.dataset.name} has none")
        self.run, self._persons = run, run.persons
        self._drawn, self._right_full = lru_cache(_KEPT)(self._draw), lru_cache(_KEPT)(self._count_right_of_full)
        self._personalizer = lru_cache(_KEPT)(run.personalizer)  # reads all settings of the experiment
        wide = {"layout": {"width": "20em"}, "style": {"description_width": "5em"}}
        shots = range(1, max(len(self._rows_by_class(person)[0]) for person in self._persons) + 1)
        budgets = [(f"{100 * budget:g} %", budget) for budget in run.experiment.budgets]
        self.person = widgets.Dropdown(options=_labels(self._persons), description="person", **wide)
        self.method = widgets.Dropdown(options=_without_classes(run.experiment.methods), description="method", **wide)
        self.classes = widgets.Checkbox(description=_CLASSES, indent=False)
        self.budget = widgets.SelectionSlider(options=budgets, description="budget", **wide)
        self.shots = widgets.SelectionSlider(options=shots, value=shots[-1], description="shots", **wide)
        self._problem, self._display = widgets.HTML(), uuid4().hex
        self._handle: Any = None
        fixed = {"layout": {"flex": "0 0 auto"}}  # columns keep their width, and wrap where there is no room
        columns = [widgets.VBox(each, **fixed) for each in ([self.person, self.method], [self.budget, self.shots])]
        rows = widgets.HBox([*columns, self.classes], layout={"flex_flow": "row wrap"})
        self._controls = widgets.VBox([rows, self._problem])
        self._update()
        for control in (self.person, self.method, self.classes, self.budget, self.shots):
            control.observe(self._update, names="value")

    def _ipython_display_(self) -> None:
        from IPython.display import Image, display

        display({**self._controls._repr_mimebundle_(), "text/plain": _HINT}, raw=True)
        self._handle = display(Image(self.png), display_id=self._display)

    def _update(self, _: Any = None) -> None:
        """Show what the controls choose, or in one line why it cannot be made."""
        method = self.method.value + _CLASSES * self.classes.value
        try:
            self.view, self.png = self._drawn(self.person.value, method, self.budget.value, self.shots.value)
            self._problem.value = ""
        except UserError as error:
            self._problem.value = escape(str(error))
        if self._handle is not None:
            from IPython.display import Image

            self._handle.update(Image(self.png))

    def _draw(self, at: int, method: str, budget: float, shots: int) -> tuple[PersonPanel, bytes]:
        person, own, model = self._persons[at], self._personalizer(method), self.run.global_model(method)
        support = np.sort(np.concatenate([rows[:shots] for rows in self._rows_by_class(person)]))
        samples = person.support_of(self.run.dataset, support)
        personal = own.personalize(model, samples, budget if own.prunes else 1.0)
        classes = self.run.dataset.classes
        confusion = np.zeros((len(classes), len(classes)), int)
        np.add.at(confusion, (self._labels(person.query), self._predictions(personal.module, person)), 1)
        view = PersonPanel(
            title=f"person {person.identity}: {method}, {len(support)} support samples",
            note=_found(personal, classes),
            confusion=confusion,
            classes=classes,
            right_full=self._right_full(at),
            layers=[
                Share(name=layer.name, part=layer.kept, whole=layer.of, text=f"{layer.kept} of {layer.of}")
                for layer in list_layers(personal.module, personal.masks)
            ],
            costs=_costs(personal, artifact_bytes(model.full)),
        )
        with io.BytesIO() as file:
            person_figure(view).savefig(file, format="png", dpi=_DPI)
            return view, file.getvalue()

    def _count_right_of_full(self, at: int) -> int:
        person = self._persons[at]
        predictions = self._predictions(self.run.global_model("full").full, person)
        return int((predictions == self._labels(person.query)).sum())

    def _predictions(self, network: nn.Module, person: Person) -> np.ndarray:
        """Return the class that a network predicts for each query, `(N,)`."""
        x = self.run.dataset.inputs(person.query)
        with evaluating(network), channels_last(network), torch.inference_mode():
            outputs = [whole_outputs(network, network(chunk)) for chunk in x.split(256)]
        return torch.cat(outputs).argmax(1).numpy()

    def _labels(self, rows: np.ndarray) -> np.ndarray:
        return self.run.dataset.y[rows].numpy()

    def _rows_by_class(self, person: Person) -> list[np.ndarray]:
        """Return the rows of a person's support set, class by class, the largest class first."""
        labels = self._labels(person.support)
        return sorted((person.support[labels == label] for label in np.unique(labels)), key=len, reverse=True)


def _ipywidgets() -> Any:
    with Needing("explore", "lab"):
        import ipywidgets
    return ipywidgets


def _without_classes(methods: Sequence[str]) -> list[str]:
    """Return the methods that the step `+classes` can stand behind, each once.

    >>> _without_classes(["full", "full+classes", "ppp+classes", "full+classes@told"])
    ['full', 'ppp']
    """
    named = dict.fromkeys(method.removesuffix(_CLASSES) for method in methods)
    return [method for method in named if _CLASSES not in method]


def _labels(persons: Sequence[Person]) -> list[tuple[str, int]]:
    """Return what names a person in a list, with the place of the person."""
    kinds = {(person.persons, person.seen) for person in persons}
    labels = []
    for at, person in enumerate(persons):
        seen = "seen" if person.seen else "unseen"
        labels.append((f"{person.identity} ({person.persons}, {seen})" if len(kinds) > 1 else person.identity, at))
    return labels


def _found(personal: PersonalModel, classes: Sequence[str]) -> str:
    """Return which classes outputs are corrected for, in words; empty if they are not corrected."""
    if personal.classes is None:
        return ""
    kept = [str(classes[at]) for at in personal.classes.prior.nonzero().flatten().tolist()]
    return f"outputs are corrected for {', '.join(kept) if len(kept) < len(classes) else 'all classes'}"


def _costs(personal: PersonalModel, bytes_full: int) -> list[Share]:
    cost, full = personal.cost, personal.full
    whole = {"MACs": (cost.macs, full.macs), "parameters": (cost.params, full.params)}
    whole["bytes"] = (personal.bytes, bytes_full)
    return [
        Share(name=name, part=part, whole=of, text=f"{part / of:.1%}\n{_short(part)} of {_short(of)}")
        for name, (part, of) in whole.items()
    ]


def _short(count: float) -> str:
    """Return a number with three digits, and k or M.

    >>> _short(922_240), _short(97)
    ('922 k', '97')
    """
    for unit in ("", " k"):
        if count < 999.5:
            return f"{count:.3g}{unit}"
        count /= 1000
    return f"{count:.3g} M"
