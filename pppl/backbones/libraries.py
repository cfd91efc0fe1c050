"""Libraries of networks that may not be installed."""

import importlib
from typing import Any

from ..system.errors import UserError


def import_library(name: str, library: str) -> Any:
    """Import the library that a backbone comes from. Raise `UserError` if it is not installed."""
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise UserError(f"backbone {name} needs {library}: pip install {library}") from error
