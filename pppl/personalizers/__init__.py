"""One module per way of personalizing, behind one protocol. Every module of this package registers its methods."""

import importlib
import pkgutil

from .base import METHODS, STEPS, GlobalModel, Personalizer, PersonalModel, Retrained, register
from .methods import personalizers_for

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "METHODS",
    "STEPS",
    "GlobalModel",
    "PersonalModel",
    "Personalizer",
    "Retrained",
    "personalizers_for",
    "register",
]
