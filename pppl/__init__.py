"""Compare ways to make one global network small and personal, by what they cost in accuracy.

Public names stand here and in `pppl.figures`, `pppl.report`, `pppl.deploy`, `pppl.diff`, `pppl.text` and
`pppl.tables`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from .system.environment import without_launcher

if TYPE_CHECKING:
    from .backbones import (
        Adapted,
        Backbone,
        ChannelGroup,
        ChannelIndex,
        evaluating,
        hook_groups,
        register_backbone,
        slice_network,
    )
    from .comparison.train import train
    from .config import Experiment, Sweep, TextExperiment, register_settings, require
    from .data import IdentityDataset, Support, register_source
    from .deploy.latency import latency
    from .deploy.personalize import personalize
    from .deploy.predict import predict
    from .gating import prototype
    from .lab import compare, compare_tasks, explore, groups, load_run, load_small, study, train_gates
    from .personalizers import GlobalModel, Personalizer, PersonalModel, register_method
    from .personalizers.methods import with_controls
    from .personalizers.personal_model import MethodOutput
    from .personalizers.personalizer import Step, register_step
    from .personalizers.scores import ScorePruner
    from .system.errors import UserError
    from .system.plugins import load_plugins
    from .tables import Metric
    from .tasks import Classification, Regression, Task, register_task
    from .text import register_text_method
    from .training.delta_training import DiffSettings, learn_delta

__version__ = "0.1.0"
__all__ = [
    "Adapted",
    "Backbone",
    "ChannelGroup",
    "ChannelIndex",
    "Classification",
    "DiffSettings",
    "Experiment",
    "GlobalModel",
    "IdentityDataset",
    "MethodOutput",
    "Metric",
    "PersonalModel",
    "Personalizer",
    "Regression",
    "ScorePruner",
    "Step",
    "Support",
    "Sweep",
    "Task",
    "TextExperiment",
    "UserError",
    "compare",
    "compare_tasks",
    "evaluating",
    "explore",
    "groups",
    "hook_groups",
    "latency",
    "learn_delta",
    "load_plugins",
    "load_run",
    "load_small",
    "personalize",
    "predict",
    "prototype",
    "register_backbone",
    "register_method",
    "register_settings",
    "register_source",
    "register_step",
    "register_task",
    "register_text_method",
    "require",
    "slice_network",
    "study",
    "train",
    "train_gates",
    "with_controls",
]

# All load on first use: `import pppl` must not import torch, and a command heeds Ctrl-C before it imports anything.
_MODULES: dict[str, tuple[str, ...]] = {
    # What commands and notebooks begin with.
    "config": ("Experiment", "Sweep", "TextExperiment", "register_settings", "require"),
    "lab": ("compare", "compare_tasks", "explore", "groups", "load_run", "load_small", "study", "train_gates"),
    "system.plugins": ("load_plugins",),
    "comparison.train": ("train",),
    "deploy.personalize": ("personalize",),
    "deploy.predict": ("predict",),
    "deploy.latency": ("latency",),
    "gating": ("prototype",),
    "training.delta_training": ("DiffSettings", "learn_delta"),
    "system.errors": ("UserError",),
    # What those need who add a method, a step, a network, a data set, a task or settings.
    "personalizers": ("GlobalModel", "PersonalModel", "Personalizer", "register_method"),
    "personalizers.methods": ("with_controls",),
    "personalizers.personal_model": ("MethodOutput",),
    "personalizers.personalizer": ("Step", "register_step"),
    "personalizers.scores": ("ScorePruner",),
    "text": ("register_text_method",),
    "backbones": (
        "Adapted",
        "Backbone",
        "ChannelGroup",
        "ChannelIndex",
        "evaluating",
        "hook_groups",
        "register_backbone",
        "slice_network",
    ),
    "data": ("IdentityDataset", "Support", "register_source"),
    "tasks": ("Classification", "Regression", "Task", "register_task"),
    "tables": ("Metric",),
}
_LAZY = {name: f"pppl.{module}" for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        with without_launcher():  # libraries read some variables as they are imported
            return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'pppl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
