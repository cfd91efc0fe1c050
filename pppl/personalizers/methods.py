"""Construction of methods from their names: variants, steps, and settings that hold for one method alone."""

import copy
import difflib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast, get_args

from ..config import Experiment, stages
from ..config.sections import all_sections
from ..system.errors import UserError, unknown
from .personalizer import METHODS, STEPS, Personalizer, Step, SupportFrom

# Methods whose variants, such as `ppp@NAME`, train their own gates.
_VARIED = ("ppp", "gated")
_NAME = re.compile(r"[A-Za-z][\w-]*")  # it becomes part of file names


def own_sections(*, with_gates: bool = False) -> list[str]:
    """Return the sections in which a method may have its own settings. Persons and budgets do not depend on them.

    **Arguments:**

    - `with_gates`: whether to add the sections that say how gates are trained, for a variant with its own gates.
    """
    sections = all_sections()
    first = [name for name, section in sections.items() if not section.trains_gates]
    return first + [name for name in sections if name not in first and with_gates]


def make_personalizers(experiment: Experiment) -> list[Personalizer]:
    """Return the personalizers of all methods of an experiment, including controls.

    >>> [personalizer.method for personalizer in make_personalizers(Experiment(methods=("full", "l1+finetune")))]
    ['full', 'l1+finetune']

    Raise `UserError` for an unknown method, or for settings that a method cannot have of its own.
    """
    _check_names(experiment)
    made = [personalizer for method in experiment.methods for personalizer in _make_method(method, experiment)]
    for personalizer in made:
        _check_control(personalizer)
    return made


def _check_control(personalizer: Personalizer) -> None:
    """Raise `UserError` for a control whose name tells something else than whose samples it is given."""
    control, given = personalizer.control, personalizer.support_from
    if control not in ("", "random", given) and (control, given) != ("own", "none"):
        raise UserError(
            f"method {personalizer.method} has the control {control!r}, but support_from is {given!r}: give both one "
            "name, as pppl.with_controls does"
        )


def with_controls(own: Personalizer) -> list[Personalizer]:
    """Return a personalizer that is given the person's own samples, and its controls: copies given those of others.

    What a method gains over its controls is personal.

    ```python
    @register_method("mine")
    def mine(experiment):
        return with_controls(Mine("mine", experiment))
    ```
    """
    personalizers = []
    for whose in get_args(SupportFrom):
        if whose != "none":
            personalizers.append(copied := copy.copy(own))
            copied.control = copied.support_from = whose
    return personalizers


def make_own_personalizer(experiment: Experiment, method: str) -> Personalizer:
    """Return the personalizer of a method; of a method with controls, the one that gets the person's own samples.

    Raise `UserError` as `make_personalizers` does, but ignore other methods of the experiment: they may be registered
    by plugins that are not loaded here.
    """
    _check_names(experiment)
    ignored = {*experiment.methods} - {*stages(method)}
    alone: dict[str, Any] = {"methods": (method,)}
    for section in ("settings", "tuning", "searched"):
        kept = getattr(experiment, section).items()
        alone[section] = {name: given for name, given in kept if ignored.isdisjoint(stages(name))}
    personalizers = make_personalizers(replace(experiment, **alone))
    return next(personalizer for personalizer in personalizers if personalizer.control in ("", "own"))


def _check_names(experiment: Experiment) -> None:
    """Raise `UserError` for settings of an unknown method, which catches misspelt names."""
    for method in {*experiment.settings, *experiment.tuning, *experiment.searched}.difference(experiment.methods):
        _make_method(method, experiment)


def _make_method(method: str, experiment: Experiment) -> list[Personalizer]:
    own = _own_settings(method, experiment)
    given = experiment.settings
    experiment = experiment.replace(**own) if own else experiment
    first, *steps = stages(method)
    personalizers = _make_first(first, experiment)
    for stage in steps:
        personalizers = _add_step(personalizers, stage)
    if "budgets" in given.get(method, {}) and not personalizers[0].prunes:
        raise UserError(f"settings of method {method} hold budgets: it does not prune; leave them out")
    for stage in stages(method):
        _refuse_bare(stage, given)
    return personalizers


def _own_settings(method: str, experiment: Experiment) -> dict[str, Any]:
    """Return the own settings of all stages of a method. Raise `UserError` for a key that no method can set."""
    own, first = experiment.own_settings(method), stages(method)[0]
    for stage in stages(method):  # only the first stage can have its own gates
        with_gates = stage == first and _is_variant(first) and first.partition("@")[0] in _VARIED
        sections = own_sections(with_gates=with_gates)
        for key in experiment.settings.get(stage, {}):
            if key.split(".")[0] not in (*sections, "budgets"):
                names = ", ".join(sections)
                raise UserError(
                    f"settings of method {stage} hold {key}: a method can have its own budgets and sections {names}"
                )
    if "budgets" in own:
        own["budgets"] = _select_budgets(method, own["budgets"], experiment)
    return own


def _is_variant(name: str) -> bool:
    return _NAME.fullmatch(name.partition("@")[2]) is not None


def _refuse_bare(stage: str, settings: Mapping[str, Any]) -> None:
    """Raise `UserError` for a variant that `settings` do not name: it would be the plain method under another name."""
    first, _, step = stage.rpartition("+")
    if _is_variant(step) and stage not in settings:
        plain = (f"{first}+" if first else "") + step.partition("@")[0]
        nearest = difflib.get_close_matches(stage, settings, n=1)
        remedy = f"did you mean {nearest[0]!r}?" if nearest else f"give it some under settings, or write {plain!r}"
        raise UserError(f"variant {stage!r} has no settings of its own: {remedy}")


def _make_first(name: str, experiment: Experiment) -> list[Personalizer]:
    """Return the personalizers of a method without steps, or of a variant of one."""
    if name in METHODS:
        return METHODS[name](experiment)
    kind = name.partition("@")[0]
    if not _is_variant(name) or kind not in METHODS:
        raise unknown("method", name, METHODS)
    personalizers = METHODS[kind](experiment)
    return [personalizer.called(name + personalizer.method.removeprefix(kind)) for personalizer in personalizers]


def _add_step(personalizers: list[Personalizer], stage: str) -> list[Personalizer]:
    """Return the personalizers with a step, or a variant of one, behind them.

    Leave out controls unless the step keeps them.
    """
    name = stage.rpartition("+")[2]
    step = name.partition("@")[0] if _is_variant(name) else name
    if step not in STEPS:
        raise unknown(f"step of method {stage}", name, STEPS)
    extended = [cast(Step, personalizer) for first in personalizers for personalizer in STEPS[step](first)]
    kept = [with_step for with_step in extended if with_step.control or with_step.first.control in ("", "own")]
    for with_step in kept:
        with_step.method = stage + with_step.method.removeprefix(f"{with_step.first.method}+{step}")
    return [*kept]


def _select_budgets(method: str, budgets: Any, experiment: Experiment) -> list[float]:
    """Return the budgets of the experiment that a method's settings name; all if the method is not compared."""
    if not isinstance(budgets, list) or not all(isinstance(budget, (int, float)) for budget in budgets):
        raise UserError(f"settings of method {method} hold budgets {budgets!r}: write a list such as [0.1, 0.2]")
    selected = [budget for budget in experiment.budgets if budget in budgets]
    if not selected and method in experiment.methods:
        known = ", ".join(f"{budget:g}" for budget in experiment.budgets)
        raise UserError(f"settings of method {method} hold budgets {budgets}: choose from the experiment's, {known}")
    return selected or [*experiment.budgets]
