"""Text encoders, text tasks, and methods that adapt encoders to tasks. The extra `text` installs the requirements."""

from . import dense, sparse  # noqa: F401 (each registers its methods)
from .dense import train_chosen
from .encoder import TextClassifier
from .setting import Adapted, Setting
from .text_methods import register_text_method

__all__ = ["Adapted", "Setting", "TextClassifier", "register_text_method", "train_chosen"]
