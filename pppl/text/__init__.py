"""Text encoders, text tasks, and methods that adapt encoders to tasks. The extra `text` installs the requirements."""

from . import dense, sparse  # noqa: F401 (each registers its methods)
from .dense import train_chosen
from .encoder import TextClassifier, Tokens
from .setting import AdaptedEncoder, Setting
from .text_methods import register_text_method
from .text_tasks import load_task

__all__ = [
    "AdaptedEncoder",
    "Setting",
    "TextClassifier",
    "Tokens",
    "load_task",
    "register_text_method",
    "train_chosen",
]
