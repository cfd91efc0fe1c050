"""The settings that determine a result, as trees of frozen dataclasses.

A YAML file and the command line hold only the settings that differ from the defaults here. This package imports nothing
heavy, so a notebook builds an experiment in one line: `Experiment().replace(**{"training.epochs": 5})`.
"""

from .data_settings import ColumnSettings, DataSettings
from .experiment import BackboneSettings, Experiment, PruningSettings, TrainingSettings, stages
from .person_settings import PersonSettings, SupportKind
from .sections import register_settings
from .sweep_experiment import LEAST_TRIALS, MEASURES, Sweep
from .text_experiment import TextColumns, TextDiffSettings, TextExperiment
from .tree import Tree, require

__all__ = [
    "LEAST_TRIALS",
    "MEASURES",
    "BackboneSettings",
    "ColumnSettings",
    "DataSettings",
    "Experiment",
    "PersonSettings",
    "PruningSettings",
    "SupportKind",
    "Sweep",
    "TextColumns",
    "TextDiffSettings",
    "TextExperiment",
    "TrainingSettings",
    "Tree",
    "register_settings",
    "require",
    "stages",
]
