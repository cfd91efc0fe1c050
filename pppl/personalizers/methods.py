"""Methods by name, with their steps and the settings that are theirs alone."""

import re
from dataclasses import replace
from typing import Any, cast

from ..config import Experiment, stages
from ..config.sections import all_sections
from ..system.errors import UserError, unknown
from .personalizer import METHODS, STEPS, Personalizer, Step

# Methods whose variants, `ppp@NAME`, have gates of their own.
_VARIED = ("ppp", "gated")
_NAME = re.compile(r"[A-Za-z][\w-]*")  # part of names of files


def own_sections(*, with_gates: bool = False) -> list[str]:
    """Return the sections that a method may have settings of its own in, on which neither persons nor budgets depend.

    **Arguments:**

    - `with_gates`: whether it is a variant whose gates are its own, so that it may set how these are trained, too.
    """
    sections = all_sections()
    first = [name for name, section in sections.items() if not section.trains_gates]
    return first + [name for name in sections if name not in first and with_gates]


def make_personalizers(experiment: Experiment) -> list[Personalizer]:
    """All personalizers of an experiment's methods, controls included.

    Raises `UserError` for an unknown method, or settings that a method cannot have for its own.
    """
    _check_names(experiment)
    return [each for method in experiment.methods for each in _made(method, experiment)]


def make_own_personalizer(experiment: Experiment, method: str) -> Personalizer:
    """The method by name, of those with controls with the person's own samples.

    Raises as `make_personalizers`, but not for other methods of the experiment, which may be known elsewhere alone.
    """
    _check_names(experiment)
    others = {*experiment.methods} - {*stages(method)}
    alone: dict[str, Any] = {"methods": (method,)}
    for section in ("settings", "tuning", "searched"):
        alone[section] = {name: given for name, given in getattr(experiment, section).items() if name not in others}
    return next(each for each in make_personalizers(replace(experiment, **alone)) if each.control in ("", "own"))


def _check_names(experiment: Experiment) -> None:
    """Raises `UserError` for settings of a method that is neither among the experiment's nor known: a misspelt one."""
    for method in {*experiment.settings, *experiment.tuning, *experiment.searched}.difference(experiment.methods):
        _made(method, experiment)


def _made(method: str, experiment: Experiment) -> list[Personalizer]:
    own = _own_settings(method, experiment)
    given = experiment.settings
    experiment = experiment.replace(**own) if own else experiment
    first, *steps = stages(method)
    made = _of_name(first, experiment)
    for stage in steps:
        made = _behind(made, stage)
    if "budgets" in given.get(method, {}) and not made[0].prunes:
        raise UserError(f"settings of method {method} hold budgets: it does not prune; leave them out")
    return made


def _own_settings(method: str, experiment: Experiment) -> dict[str, Any]:
    """The settings of all stages of a method. Raises `UserError` for what cannot be its own."""
    own, first = experiment.own_settings(method), stages(method)[0]
    for stage in stages(method):  # what stands behind a variant has no gates of its own
        gated = stage == first and _varies(first) and first.partition("@")[0] in _VARIED
        sections = own_sections(with_gates=gated)
        for key in experiment.settings.get(stage, {}):
            if key.split(".")[0] not in (*sections, "budgets"):
                names = ", ".join(sections)
                raise UserError(f"settings of method {stage} hold {key}: only budgets, {names} can be its own")
    if "budgets" in own:
        own["budgets"] = _some_budgets(method, own["budgets"], experiment)
    return own


def _varies(name: str) -> bool:
    return _NAME.fullmatch(name.partition("@")[2]) is not None


def _of_name(name: str, experiment: Experiment) -> list[Personalizer]:
    """Those of a method, or of a variant of it, which has gates of its own where it has any."""
    if name in METHODS:
        return METHODS[name](experiment)
    kind = name.partition("@")[0]
    if not _varies(name) or kind not in METHODS:
        raise unknown("method", name, METHODS)
    return [each.called(name + each.method.removeprefix(kind)) for each in METHODS[kind](experiment)]


def _behind(made: list[Personalizer], stage: str) -> list[Personalizer]:
    """What a step, or a variant of it, makes of personalizers; of controls only where it keeps them."""
    name = stage.rpartition("+")[2]
    step = name.partition("@")[0] if _varies(name) else name
    if step not in STEPS:
        raise unknown(f"step of method {stage}", name, STEPS)
    behind = [each for first in made for each in STEPS[step](first)]
    kept = [each for each in behind if each.control or cast(Step, each).first.control in ("", "own")]
    for each in kept:
        each.method = stage + each.method.removeprefix(f"{cast(Step, each).first.method}+{step}")
    return kept


def _some_budgets(method: str, budgets: Any, experiment: Experiment) -> list[float]:
    """Those of the experiment's that a method's settings name; all for a method that it does not compare."""
    if not isinstance(budgets, list) or not all(isinstance(each, (int, float)) for each in budgets):
        raise UserError(f"settings of method {method} hold budgets {budgets!r}: write a list such as [0.1, 0.2]")
    some = [budget for budget in experiment.budgets if budget in budgets]
    if not some and method in experiment.methods:
        all_ = ", ".join(f"{budget:g}" for budget in experiment.budgets)
        raise UserError(f"settings of method {method} hold budgets {budgets}, none of the experiment's: {all_}")
    return some or [*experiment.budgets]
