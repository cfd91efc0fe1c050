"""What each method and step does, in a sentence with its source, for `pppl explain` and the documentation."""

import inspect
from collections.abc import Sequence
from typing import NamedTuple

from ..config import Experiment
from ..system.errors import UserError
from ..system.registries import maker_of
from .methods import make_personalizers
from .personalizer import METHODS, STEPS, Personalizer

_STATIC = "static, one network for everybody: filters ranked by"
# By the names of methods, and of steps with a `+`.
_TEXTS = {
    "full": "the global network as it is",
    "ppp": "Prototype-based Personalized Pruning (after Kim et al., ICASSP 2021; our reconstruction)",
    "gated": "ablation: `ppp` whose gates were trained without the prototype loss",
    "ocap": "channels ranked by their activations on the support set (after Ma et al. 2023, without their fine-tuning)",
    "ocap_frequency": "channels ranked by the support samples for which they are among the strongest of their layer "
    "(nearer to Ma et al. 2023)",
    "capnn": "channels ranked by how often they fire for the person's classes, on training data (after CAP'NN: "
    "Hemmat et al., DAC 2020; our reconstruction)",
    "l1": f"{_STATIC} L1 norm (Li et al., ICLR 2017)",
    "l2": f"{_STATIC} the sum of squares (He et al., IJCAI 2018)",
    "bn_scale": f"{_STATIC} the scale of batch normalization (network slimming: Liu et al., ICCV 2017); not for `res*` "
    "and `bc_resnet`, which have none",
    "fpgm": f"{_STATIC} distance to the other filters (geometric median: He et al., CVPR 2019)",
    "lamp": f"{_STATIC} layer-adaptive magnitude (Lee et al., ICLR 2021)",
    "taylor": f"{_STATIC} abs(weight times gradient) on training samples (after Molchanov et al., CVPR 2019)",
    "hessian": f"{_STATIC} squared weight times the Hessian's diagonal, from squared gradients of training samples "
    "(optimal brain damage: LeCun et al., NeurIPS 1989)",
    "random": "static, one network for everybody: channels ranked by lot",
    "taylor_support": "as `taylor`, on the person's support set: a network for each person",
    "hessian_support": "as `hessian`, on the person's support set: a network for each person",
    "basis": "each convolution in two by its singular values, basis filters kept by their scale (basis pruning: "
    "Wong et al. 2024)",
    "basis_support": "basis filters kept by scale times its gradient on the person's support set (Wong et al. 2024)",
    "ppp_dynamic": "no pruning: the gated network of `ppp`, each sample through its own gates, at their mean MACs "
    "(Veit, Belongie, ECCV 2018); the gates' own MACs are not counted",
    "gated_dynamic": "no pruning: the gated network of `gated`, each sample through its own gates (as `ppp_dynamic`)",
    "onda_hap": "pruned by traces of the Hessian, then fine-tuned on pseudo-labels of the support set (OnDA: Risso et "
    "al. 2026; HAP: Yu et al., WACV 2022)",
    "onda_l1": "pruned by L1 norm, then fine-tuned on pseudo-labels of the support set (OnDA: Risso et al. 2026)",
    "onda_hap_tpt": "`onda_hap`, fine-tuned before pruning, too",
    "onda_l1_tpt": "`onda_l1`, fine-tuned before pruning, too",
    "finetune": "the full network, fine-tuned on the support set; `finetune.layers: last` trains the classifier "
    "alone, `finetune.augment` changes samples at random",
    "diff": "structured diff pruning (Guo, Rush, Kim, ACL 2021): a sparse difference per person, 0.5 % of the weights",
    "diff_elementwise": "`diff` without a gate per tensor",
    "+finetune": "behind any method, as in `l1_local+finetune`: what it gives is fine-tuned on the support set",
    "+diff": "behind any method, as in `ppp+diff`: a difference is learnt on the weights that survive",
    "+retrain": "behind static methods, as in `l1_local+retrain`: fine-tuned on the global training set, once for "
    "everybody: the usual pipeline; `retrain.distillation` adds the full network's predictions (Hinton et "
    "al. 2015)",
    "+classes": "behind any method, as in `full+classes`: the person's class prior in place of the training data's, "
    "by `votes`, `mean` or `em` (Saerens, Latinne, Decaestecker 2002); `classes.rule: told` takes the "
    "classes of the labels, as if a person had ticked them; for persons with few of the classes",
    "+prototypes": "behind any method: the class whose labelled samples have the nearest mean features (Snell et al., "
    "NeurIPS 2017)",
    "+t3a": "behind any method: the classifier averaged with features by pseudo-labels (T3A: Iwasawa, Matsuo, "
    "NeurIPS 2021)",
    "+tent": "behind any method: scales and shifts of batch normalization trained for less entropy (Tent: Wang et "
    "al., ICLR 2021); not for `res*`",
    "+quant": "behind any method, as in `l1_local+quant`: weights shared by 2^4 centroids per tensor (Deep "
    "Compression: Han et al., ICLR 2016); bytes are counted so",
    "+bn": "behind any method, as in `ppp+bn`: batch normalization is recalibrated on the support set (AdaBN: Li "
    "et al., 2016; EagleEye: Li et al., ECCV 2020)",
}
# Static criteria with such an end compare layers in another way.
SCOPES = {
    "_local": "every layer loses the same fraction of its channels",
    "_isomorphic": "layers of one structure lose the same fraction (Fang et al., ECCV 2024)",
}
# Whose samples a control is given, by its name.
CONTROL_TEXTS = {
    "own": "The person's own samples: the method itself, beside its controls.",
    "population": "The samples of all persons who are tested alike, the person among them: what is personal at all?",
    "other": "The samples of the next person who is somebody else: who it is and which classes, together.",
    "twin": "The samples of somebody else with the same classes: who it is. Where persons are subsets of classes, "
    "other samples of the same classes, which ask what another draw of samples does.",
    "swap": "Samples of the same person's other classes: which classes?",
    "random": "No samples: random channels of the same cost. Does the choice matter?",
}
# Methods that steps are tried behind, to tell what they need.
_BEFORE_STEPS = ("full", "l1")


class ToldMethod(NamedTuple):
    """What there is to say of a method or a step.

    - `text`: what it does, a sentence without a full stop; empty if its class has no docstring.
    - `reads_labels`, `trains`: whether it reads labels of the person, and whether it trains on the person's samples.
    - `controls`: whose samples its rows are made with, the person's own first; empty if it has no controls.
    """

    text: str
    reads_labels: bool
    trains: bool
    controls: Sequence[str]


def tell_method(name: str) -> ToldMethod:
    """Return what there is to say of a method or, with a `+`, of a step. One's own is told by its docstring.

    >>> tell_method("l1_local").text.partition("; ")[2]
    'every layer loses the same fraction of its channels'
    >>> tell_method("+finetune").reads_labels
    True

    Raise `UserError` for an unknown name.
    """
    made = _made(name)
    controls = [each.control for each in made if each.control]
    first = made[0]
    return ToldMethod(_text(name), first.reads_labels, first.steps > 0, controls if len(controls) > 1 else ())


def _made(name: str) -> list[Personalizer]:
    """Return the personalizers of a method, or of a step behind the first method that it can stand behind."""
    names = [f"{first}{name}" for first in _BEFORE_STEPS] if name.startswith("+") else [name]
    for tried in names[:-1]:
        try:
            return make_personalizers(Experiment(methods=(tried,)))
        except UserError:
            continue  # `+retrain` stands behind static methods only
    return make_personalizers(Experiment(methods=(names[-1],)))


def _text(name: str) -> str:
    if name in _TEXTS:
        return _TEXTS[name]
    for scope, text in SCOPES.items():
        if (base := name.removesuffix(scope)) in _TEXTS and base != name:
            return f"{_TEXTS[base]}; {text}"
    registry = STEPS if name.startswith("+") else METHODS
    own = inspect.getdoc(maker_of(registry.kind, name.removeprefix("+"))) or ""
    return " ".join(own.partition("\n\n")[0].split()).rstrip(".")
