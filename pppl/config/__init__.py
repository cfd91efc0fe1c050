"""Everything that determines a result, as trees of frozen dataclasses.

A YAML file and the command line hold only what differs from the defaults here. This package imports nothing heavy, so
a notebook builds an experiment in one line: `Experiment().replace(**{"training.epochs": 5})`.
"""

from .experiment import BackboneSettings, DataSettings, Experiment, PersonSettings, TrainingSettings, stages
from .method_settings import (
    CAPNNSettings,
    OCAPSettings,
    OnDASettings,
    PersonTraining,
    PPPSettings,
    PruningSettings,
    RetrainSettings,
    StaticSettings,
)
from .step_settings import BNSettings, ClassSettings, DiffSettings, FinetuneSettings, QuantizeSettings, TentSettings
from .sweep_experiment import MEASURES, Sweep
from .text_experiment import TextDiffSettings, TextExperiment
from .tree import Tree

__all__ = [
    "MEASURES",
    "BNSettings",
    "BackboneSettings",
    "CAPNNSettings",
    "ClassSettings",
    "DataSettings",
    "DiffSettings",
    "Experiment",
    "FinetuneSettings",
    "OCAPSettings",
    "OnDASettings",
    "PPPSettings",
    "PersonSettings",
    "PersonTraining",
    "PruningSettings",
    "QuantizeSettings",
    "RetrainSettings",
    "StaticSettings",
    "Sweep",
    "TentSettings",
    "TextDiffSettings",
    "TextExperiment",
    "TrainingSettings",
    "Tree",
    "stages",
]
