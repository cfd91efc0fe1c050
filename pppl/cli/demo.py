"""The comparison that `pppl demo` runs."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from ..config import Experiment

# A method of every family, alone and with steps that use the person's samples.
_METHODS = (
    *("full", "full+classes", "full+classes@mean", "full+classes@told", "full+prototypes", "full+retrain+classes"),
    *("finetune", "diff"),
    *("l1_local", "l1_local+retrain", "l1_local+retrain+classes", "l1_local+retrain+classes@told"),
    *("ppp@nothing", "ppp@nothing+classes"),
    *("ppp@persons", "ppp@persons+classes", "ppp@tenth", "ocap", "capnn"),
    *("l1_local+finetune", "l1_local+retrain+prototypes", "l1_local+retrain+finetune", "ppp@persons+diff", "onda_hap"),
)
# Settings that shorten the experiment, the same for everything that is trained.
_SHORTER: dict[str, Any] = {
    "methods": list(_METHODS),
    "seeds": [0, 1, 2],
    "persons.count": 6,
    "budgets": [0.05, 0.1, 0.25],
    "person_training.epochs": 30,
    "retrain.epochs": 30,
}
_SETTINGS = {"ppp@tenth": {"ppp.epochs": 70}, "diff": {"diff.rates": [0.005]}}


def demo_experiment(overrides: Mapping[str, Any]) -> Experiment:
    """Return the comparison on digits with fewer methods, seeds, budgets and epochs, then with `overrides` applied.

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
