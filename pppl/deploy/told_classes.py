"""What a person's samples tell of their classes, and whether to believe it."""

from collections.abc import Sequence
from typing import Any

from ..personalizers import ClassPrior
from ..system.tracking import notice

# Below this mean probability of the predicted class the correction did as often harm as good: of 48 persons of FSDD (3
# of 10 digits, tc_resnet8, six seeds) it helped 19 and harmed 25; of the 96 above, it helped 36 and harmed 2.
LEAST_CONFIDENCE = 0.9
_SHOWN = 8


def read_classes(found: ClassPrior, names: Sequence[str], samples: int) -> dict[str, Any]:
    """Return the classes and their prior for a report, and say where they should not be trusted.

    **Arguments:**

    - `names`: of all classes; `samples`: of the support set.
    """
    prior = {name: share for name, share in zip(names, found.prior.tolist(), strict=True) if share > 0}
    told = ", ".join([*prior][:_SHOWN]) + ", ..." * (len(prior) > _SHOWN)
    if len(prior) == len(names) and max(prior.values()) - min(prior.values()) < 1e-6:
        notice(f"the predictions of {samples} samples agree on no class: nothing is corrected; give more samples")
    elif len(prior) == 1:
        notice(
            f"all {samples} samples are taken for {told}, which will be the only answer: give samples of all classes"
        )
    elif found.confidence < LEAST_CONFIDENCE:
        notice(
            f"the network is unsure of these samples (mean confidence {found.confidence:.2f}), so that their classes "
            f"({told}) may be wrong; labels and a method with +finetune are the safer way"
        )
    return {"prior": prior, "confidence": found.confidence, "cut": found.cut}
