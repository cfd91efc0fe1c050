"""Everything that determines a result, as trees of frozen dataclasses.

A YAML file and the command line hold only what differs from the defaults here. This package imports nothing heavy, so
a notebook builds an experiment in one line: `Experiment().replace(**{"training.epochs": 5})`.
"""

from .experiment import Backbone, Data, Experiment, Persons, Training, stages
from .method_settings import CAPNN, OCAP, PPP, Matched, OnDA, Pruning, Retrain, Static
from .step_settings import BN, Classes, Diff, Finetune, Quantize, Tent
from .sweep_experiment import MEASURES, Sweep
from .text_experiment import TaskDiff, TaskExperiment
from .tree import Tree

__all__ = [
    "BN",
    "CAPNN",
    "MEASURES",
    "OCAP",
    "PPP",
    "Backbone",
    "Classes",
    "Data",
    "Diff",
    "Experiment",
    "Finetune",
    "Matched",
    "OnDA",
    "Persons",
    "Pruning",
    "Quantize",
    "Retrain",
    "Static",
    "Sweep",
    "TaskDiff",
    "TaskExperiment",
    "Tent",
    "Training",
    "Tree",
    "stages",
]
