"""One module per way of personalizing, behind one protocol. Every module of this package registers its methods."""

import importlib
import pkgutil

from .global_model import GlobalModel, Retrained
from .methods import own_personalizer, personalizers_for
from .personal_model import ClassPrior, PersonalModel
from .personalizer import METHODS, STEPS, Personalizer, register
from .ppp import GateSettings, gate_settings

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "METHODS",
    "STEPS",
    "ClassPrior",
    "GateSettings",
    "GlobalModel",
    "PersonalModel",
    "Personalizer",
    "Retrained",
    "gate_settings",
    "own_personalizer",
    "personalizers_for",
    "register",
]
