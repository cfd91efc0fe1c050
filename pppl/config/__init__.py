"""The settings that determine a result, as trees of frozen dataclasses.

A YAML file and the command line hold only the settings that differ from the defaults here. This package imports nothing
heavy, so a notebook builds an experiment in one line: `Experiment().replace(**{"training.epochs": 5})`.
"""

from .experiment import (
    BackboneSettings,
    DataSettings,
    Experiment,
    PruningSettings,
    TrainingSettings,
    stages,
)
from .person_settings import PersonSettings, SupportKind
from .sections import register_settings
from .sweep_experiment import LEAST_TRIALS, MEASURES, Sweep
from .text_experiment import TextDiffSettings, TextExperiment
from .tree import Tree, require

__all__ = [
    "LEAST_TRIALS",
    "MEASURES",
    "BackboneSettings",
    "DataSettings",
    "Experiment",
    "PersonSettings",
    "PruningSettings",
    "SupportKind",
    "Sweep",
    "TextDiffSettings",
    "TextExperiment",
    "TrainingSettings",
    "Tree",
    "register_settings",
    "require",
    "stages",
]
