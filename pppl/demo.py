"""What `pppl demo` compares."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from .config import Experiment

# The methods that take most of the time, and the budget of the demo's headline, which suffices for them.
_SLOW, _FEW = ("onda_hap", "l1_local+finetune", "ppp+diff"), (0.1,)
# The first of the experiment's persons, of each size and seed.
_PERSONS = 12


def demo_experiment(overrides: Mapping[str, Any]) -> Experiment:
    """The comparison on digits with dotted keys replaced, fewer persons, and few budgets of methods that take long.

    Raises `UserError` as `Experiment.load` does.
    """
    bundled = Path(str(resources.files("pppl"))) / "demo.yaml"  # in a wheel
    path = bundled if bundled.exists() else Path(__file__).parents[1] / "sweeps" / "compare" / "digits.yaml"
    experiment = Experiment.load(path, {"persons.count": _PERSONS, **overrides})
    few = [budget for budget in experiment.budgets if budget in _FEW] or list(experiment.budgets)
    own = {method: {**experiment.settings.get(method, {}), "budgets": few} for method in _SLOW}
    return experiment.replace(settings=experiment.settings | own)
