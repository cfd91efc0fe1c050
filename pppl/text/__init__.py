"""Text tasks and encoders; the extra `text` installs what they need."""

from . import dense, sparse  # noqa: F401 (each registers its methods)
from .text_methods import TEXT_METHODS, TextMethod, register_text_method

__all__ = ["TEXT_METHODS", "TextMethod", "register_text_method"]
