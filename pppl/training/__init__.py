"""LightningModules, their callbacks, and fine-tuning."""

from .diff import learn_delta
from .finetune import finetune
from .fit import fit
from .modules import DistilledModule, GlobalModule, PPPModule
from .persons import PersonModule
from .task import TaskModule, outputs, train_task

__all__ = [
    "DistilledModule",
    "GlobalModule",
    "PPPModule",
    "PersonModule",
    "TaskModule",
    "finetune",
    "fit",
    "learn_delta",
    "outputs",
    "train_task",
]
