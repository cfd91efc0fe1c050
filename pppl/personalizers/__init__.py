"""One module per way of personalizing, behind one protocol. Every module of this package registers its methods."""

import importlib
import pkgutil

from .global_model import GlobalModel, RetrainedNetwork
from .methods import make_own_personalizer, make_personalizers
from .personal_model import ClassPrior, PersonalModel
from .personalizer import METHODS, STEPS, Personalizer, register_method
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
    "RetrainedNetwork",
    "gate_settings",
    "make_own_personalizer",
    "make_personalizers",
    "register_method",
]
