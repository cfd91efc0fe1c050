"""What each verb of the command line does, and its arguments. Nothing heavy is imported before a verb is called."""

from . import device, experiments
from .base import Parser, Verb

VERBS: dict[str, Verb] = {**experiments.VERBS, **device.VERBS}

__all__ = ["VERBS", "Parser", "Verb"]
