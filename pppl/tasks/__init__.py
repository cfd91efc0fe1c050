"""What networks are for. A task knows its loss, its metrics, and how the outputs of a network are read."""

from .classification import Classification
from .regression import Regression
from .task import TASKS, Metric, Task, register_task, task_of

__all__ = ["TASKS", "Classification", "Metric", "Regression", "Task", "register_task", "task_of"]
