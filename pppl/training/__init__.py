"""Training: LightningModules, their callbacks, adapters, fine-tuning and diff pruning."""

from .delta_training import learn_delta
from .finetuning import finetune
from .fit import fit
from .modules import DistilledModule, GlobalModule, PPPModule
from .person_module import PersonModule
from .task_module import TaskModule, outputs, train_task

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
