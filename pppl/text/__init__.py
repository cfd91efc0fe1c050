"""Text tasks and encoders; the extra `text` installs what they need."""

from . import dense, sparse  # noqa: F401 (each registers its methods)
from .dense import train_chosen
from .encoder import TextClassifier
from .setting import Adapted, Setting
from .text_methods import register_text_method

__all__ = ["Adapted", "Setting", "TextClassifier", "register_text_method", "train_chosen"]
