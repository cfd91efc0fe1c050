"""Text tasks and encoders; the extra `text` installs what they need."""

from . import dense, sparse  # noqa: F401 (each registers its methods)
from .dense import train_chosen
from .encoder import TextClassifier
from .setting import Adapted, Setting
from .text_methods import TEXT_METHODS, register_text_method

__all__ = ["TEXT_METHODS", "Adapted", "Setting", "TextClassifier", "register_text_method", "train_chosen"]
