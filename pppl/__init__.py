"""What does it cost, in accuracy, to make one global network small and personal, and which way is best?"""

import importlib
from typing import TYPE_CHECKING, Any

from .system.environment import without_launcher

if TYPE_CHECKING:
    from .backbones import register_backbone
    from .config import Experiment, Sweep, TextExperiment, register_settings
    from .data import register_source
    from .lab import compare, compare_tasks, load_run, study
    from .personalizers.personalizer import register_method, register_step
    from .tasks import Task, register_task

__version__ = "0.1.0"
__all__ = [
    "Experiment",
    "Sweep",
    "Task",
    "TextExperiment",
    "compare",
    "compare_tasks",
    "load_run",
    "register_backbone",
    "register_method",
    "register_settings",
    "register_source",
    "register_step",
    "register_task",
    "study",
]

# All load on first use: `import pppl` must not import torch, and a command heeds Ctrl-C before it imports anything.
_LAZY: dict[str, str] = dict.fromkeys(("compare", "compare_tasks", "load_run", "study"), "pppl.lab")
_LAZY |= dict.fromkeys(("Experiment", "Sweep", "TextExperiment", "register_settings"), "pppl.config")
_LAZY |= dict.fromkeys(("register_method", "register_step"), "pppl.personalizers.personalizer")
_LAZY |= dict.fromkeys(("Task", "register_task"), "pppl.tasks")
_LAZY |= {"register_backbone": "pppl.backbones", "register_source": "pppl.data"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        with without_launcher():  # libraries read some variables as they are imported
            return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'pppl' has no attribute {name!r}")
