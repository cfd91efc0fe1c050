"""Methods by name, with their steps and the settings that are theirs alone."""

import re
from dataclasses import replace
from typing import Any

from ..config import Experiment, stages
from ..errors import UserError, unknown
from .base import METHODS, STEPS, Personalizer

# What a method may have settings of its own in: neither networks nor persons nor budgets depend on these.
OWN_SECTIONS = ("finetune", "static", "ocap", "bn", "onda", "quantize", "retrain", "diff")
# What a variant of these methods, `ppp@NAME`, may have besides, since it has gates of its own.
_VARIED, _OF_VARIANTS = ("ppp", "gated"), ("ppp", "matched")
_NAME = re.compile(r"[A-Za-z][\w-]*")  # part of names of files


def personalizers_for(experiment: Experiment) -> list[Personalizer]:
    """All personalizers of an experiment's methods, controls included.

    Raises `UserError` for an unknown method, or settings that a method cannot have for its own.
    """
    _check_names(experiment)
    return [each for method in experiment.methods for each in _made(method, experiment)]


def own_personalizer(experiment: Experiment, method: str) -> Personalizer:
    """The method by name, of those with controls with the person's own samples.

    Raises as `personalizers_for`, but not for other methods of the experiment, which may be known elsewhere alone.
    """
    _check_names(experiment)
    others = {*experiment.methods} - {*stages(method)}
    alone: dict[str, Any] = {"methods": (method,)}
    for section in ("settings", "tuning", "searched"):
        alone[section] = {name: given for name, given in getattr(experiment, section).items() if name not in others}
    return next(each for each in personalizers_for(replace(experiment, **alone)) if each.control in ("", "own"))


def _check_names(experiment: Experiment) -> None:
    """Raises `UserError` for settings of a method that is neither among the experiment's nor known: a misspelt one."""
    for method in {*experiment.settings, *experiment.tuning, *experiment.searched}.difference(experiment.methods):
        _made(method, experiment)


def _made(method: str, experiment: Experiment) -> list[Personalizer]:
    name, *steps = method.split("+")
    kind, _, variant = name.partition("@")
    varies = kind in _VARIED and _NAME.fullmatch(variant) is not None
    own, given = experiment.own_settings(method), experiment.settings
    for stage in stages(method):  # what stands behind a variant has no gates of its own
        sections = (*OWN_SECTIONS, *_OF_VARIANTS) if varies and stage == name else OWN_SECTIONS
        for key in given.get(stage, {}):
            if key.split(".")[0] not in (*sections, "budgets"):
                names = ", ".join(sections)
                raise UserError(f"settings of method {stage} hold {key}: only budgets, {names} can be its own")
    if "budgets" in own:
        own["budgets"] = _some_budgets(method, own["budgets"], experiment)
    experiment = experiment.replace(**own) if own else experiment
    if name not in METHODS and not varies:
        raise unknown("method", name, METHODS)
    made = [each.called(name) for each in METHODS[kind](experiment)] if varies else METHODS[name](experiment)
    for step in steps:
        if step not in STEPS:
            raise unknown(f"step of method {method}", step, STEPS)
        made = [each for first in made if first.control in ("", "own") for each in STEPS[step](first)]
    if "budgets" in given.get(method, {}) and not made[0].prunes:
        raise UserError(f"settings of method {method} hold budgets: it does not prune; leave them out")
    return made


def _some_budgets(method: str, budgets: Any, experiment: Experiment) -> list[float]:
    """Those of the experiment's that a method's settings name; all for a method that it does not compare."""
    if not isinstance(budgets, list) or not all(isinstance(each, (int, float)) for each in budgets):
        raise UserError(f"settings of method {method} hold budgets {budgets!r}: write a list such as [0.1, 0.2]")
    some = [budget for budget in experiment.budgets if budget in budgets]
    if not some and method in experiment.methods:
        all_ = ", ".join(f"{budget:g}" for budget in experiment.budgets)
        raise UserError(f"settings of method {method} hold budgets {budgets}, none of the experiment's: {all_}")
    return some or [*experiment.budgets]
