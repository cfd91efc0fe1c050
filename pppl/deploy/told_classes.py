"""The classes that a person's samples suggest, with warnings if these are doubtful."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..personalizers import ClassPrior
from ..system.tracking import notice
from .class_scores import ClassLoss

# If the mean probability of the predicted class is below this, the correction harms as often as it helps. Measured on
# FSDD (3 of 10 digits, tc_resnet8, six seeds): of 48 persons below, it helped 19 and harmed 25; of 96 above, it helped
# 36 and harmed 2.
LEAST_CONFIDENCE = 0.9
_SHOWN = 8


def warn_of_lost_classes(compared: Sequence[ClassLoss], *, labelled: bool) -> None:
    """Print a notice for each class that the full network knows and the personal one has lost, and what to do.

    Without labels the full network may be the one that is wrong, so that nothing is said of samples to come.

    **Arguments:**

    - `compared`: how the classes fare on the person's own samples.
    - `labelled`: whether classes are those of labels, or those that the full network predicts.
    """
    lost = [each for each in compared if each.is_lost]
    if not lost:
        return
    for each in lost[:_SHOWN]:
        known = f"the full network has {each.full} of {each.n} samples right, the personal one {each.personal}"
        if not labelled:
            known = f"the full network takes {each.n} samples for it, the personal one {each.personal} of these"
        notice(f"class {each.name}: {known}" + f"; it mostly takes them for {each.mostly}" * bool(each.mostly))
    more = f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
    names = ", ".join(each.name for each in lost[:_SHOWN])
    if labelled:
        remedy = "give a larger --budget, or a method with +finetune"
        notice(f"expect wrong answers for {names}{more}, on other samples, too: {remedy}")
    else:
        remedy = "put samples into a folder for each class, and try a method with +finetune"
        notice(f"the two networks disagree on {names}{more}; without labels nobody knows which is right: {remedy}")


def warn_of_unseen_classes(seen: Sequence[str], names: Sequence[str], samples: int) -> None:
    """Print a notice that names the classes for which the full network takes no sample, unless these are most.

    **Arguments:**

    - `seen`: the classes that the full network predicts for the unlabelled samples.
    """
    lacking = [name for name in names if name not in seen]
    if lacking and len(lacking) <= len(names) // 2:
        listed = ", ".join(lacking[:_SHOWN]) + ", ..." * (len(lacking) > _SHOWN)
        notice(
            f"the full network takes none of {samples} samples for {listed}: if the person uses these, it fails there"
        )


def warn_of_harm(accuracies: Mapping[str, Any]) -> None:
    """Print a notice where the correction for the person's classes makes the full network worse on labelled samples."""
    full, corrected = (accuracies.get(name) for name in ("full", "full with the person's classes"))
    if full and corrected and corrected.get("mean", 0) < full.get("mean", 0):
        notice(
            f"corrected for the person's classes the full network has {100 * corrected['mean']:.1f} % right instead of "
            f"{100 * full['mean']:.1f} %: leave out --classes, or name the classes by labels"
        )


def warn_of_guessing(accuracies: Mapping[str, Any], classes: int) -> None:
    """Print a notice where the full network cannot be told from one that guesses among the classes of the labels."""
    full = accuracies.get("full")
    if full and classes > 1 and full.get("low", 1) < 1 / classes:
        notice(
            f"the full network has {100 * full['mean']:.1f} % of {full['n']} samples right, guessing among their "
            f"{classes} classes {100 / classes:.1f} %: check that they are as those of the training were (scale, "
            "size, sampling rate), or train longer"
        )


def read_classes(found: ClassPrior, names: Sequence[str], samples: int) -> dict[str, Any]:
    """Return the classes and their prior for a report, and print a notice if they should not be trusted.

    **Arguments:**

    - `names`: names of all classes.
    - `samples`: number of samples in the support set.
    """
    prior = {name: share for name, share in zip(names, found.prior.tolist(), strict=True) if share > 0}
    listed = ", ".join([*prior][:_SHOWN]) + ", ..." * (len(prior) > _SHOWN)
    if len(prior) == len(names) and max(prior.values()) - min(prior.values()) < 1e-6:
        notice(f"the predictions for {samples} samples agree on no class: nothing is corrected; give more samples")
    elif len(prior) == 1:
        notice(
            f"all {samples} samples are classified as {listed}, which will be the only prediction: give samples of all "
            "the person's classes"
        )
    elif found.confidence < LEAST_CONFIDENCE:
        notice(
            f"the network is unsure of these samples (mean confidence {found.confidence:.2f}), so their classes "
            f"({listed}) may be wrong; labels and a method with +finetune are safer"
        )
    return {"prior": prior, "confidence": found.confidence, "cut": found.cut}
