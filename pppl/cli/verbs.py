"""All verbs of the command line by name. Nothing heavy is imported before a verb is called."""

from . import deployment_verbs, experiment_verbs, result_verbs, settings_verbs
from .verb import Parser, Verb

VERBS: dict[str, Verb] = {
    **experiment_verbs.VERBS,
    **settings_verbs.VERBS,
    **result_verbs.VERBS,
    **deployment_verbs.VERBS,
}

__all__ = ["VERBS", "Parser", "Verb"]
