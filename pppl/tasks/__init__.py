"""What networks are for. A task knows its loss, its metrics, and how the outputs of a network are read."""

from . import classification, regression  # noqa: F401 (each registers itself)
from .task import TASKS, Metric, Task, register_task, task_of

__all__ = ["TASKS", "Metric", "Task", "register_task", "task_of"]
