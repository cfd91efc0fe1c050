"""The comparison that `pppl demo` runs."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from ..config import Experiment

# A method of every family, alone and with steps that use the person's samples.
_METHODS = (
    *("full", "full+classes", "full+classes@told", "full+prototypes", "finetune", "diff"),
    *("l1_local", "l1_local+finetune", "l1_local+retrain", "l1_local+retrain+classes"),
    *("l1_local+retrain+classes@told", "l1_local+retrain+prototypes"),
    *("ppp@nothing", "ppp@nothing+classes", "ppp@persons", "ppp@persons+classes", "ppp@tenth", "ocap", "capnn"),
)
# Settings that shorten the experiment, the same for everything that is trained.
_SHORTER: dict[str, Any] = {
    "methods": list(_METHODS),
    "seeds": [0, 1, 2],
    "persons.classes": [5],
    "persons.count": 6,
    "budgets": [0.05, 0.1],
    "training.epochs": 30,
    "person_training.epochs": 20,
    "retrain.epochs": 20,
}
# The gates of `ppp@tenth` do not begin with the full network, so they are trained as long as that and the others.
_SETTINGS = {"ppp@tenth": {"ppp.epochs": 50}, "diff": {"diff.rates": [0.005]}}


def demo_experiment(overrides: Mapping[str, Any]) -> Experiment:
    """Return the comparison on digits with fewer methods, persons and epochs, then with `overrides` applied.

    Raise `UserError` for an unknown key or a bad value, as `Experiment.load` does.

    ```python
    demo_experiment({"persons.count": 2})
    ```
    """
    bundled = Path(str(resources.files("pppl"))) / "demo.yaml"  # part of the wheel
    path = bundled if bundled.exists() else Path(__file__).parents[2] / "sweeps" / "compare" / "digits.yaml"
    shorter = Experiment.load(path).replace(**_SHORTER)
    settings = {method: {**own, **_SETTINGS.get(method, {})} for method, own in shorter.settings.items()}
    return shorter.replace(settings=settings).override(overrides)
