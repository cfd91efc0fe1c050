"""Every method on every structure of a backbone; slow tests walk all names."""

from collections.abc import Callable
from pathlib import Path

import own_nets
import pytest
import torch
from backbone_structures import names_by_structure
from hub_networks import HUB, hub
from own_nets import OWN
from small_backbones import small
from torch import Tensor

from pppl import Experiment
from pppl.backbones import ShapeSpec, adapt_foreign, build, spec_for
from pppl.data import Support
from pppl.gating import GatedNetwork
from pppl.personalizers import METHODS, STEPS, GlobalModel, RetrainedNetwork, make_personalizers
from pppl.personalizers.tent import affine
from pppl.pruning import CostModel
from pppl.system.errors import UserError
from pppl.tasks import TASKS

_BUDGET = 0.6
_OF_SCALES = {"bn_scale", "bn_scale_local", "bn_scale_isomorphic"}
_OF_BASES = {"basis", "basis_support"}


def _refused(spec: ShapeSpec, shape: tuple[int, ...], samples: Callable[..., Tensor] = torch.randn) -> set[str]:
    """Personalize a network by every method, and return the methods that refuse it."""
    gated = {kind: GatedNetwork(build(spec)).eval() for kind in ("ppp", "gated")}
    full = build(spec).eval()
    support = Support(x=samples(6, *shape), y=torch.arange(6) % 4)
    train = Support(x=samples(5, *shape), y=torch.arange(5) % 4)
    model = GlobalModel(
        task=TASKS["classification"],
        full=full,
        gated=gated,
        cost=CostModel(full, shape),
        train=train,
        retrain=lambda net, _: RetrainedNetwork(net, 0.0),
    )
    methods = [*sorted(METHODS), *(f"{'l1' if step == 'retrain' else 'ppp'}+{step}" for step in STEPS)]
    steps = {"finetune.steps": 1, "finetune.pruned_steps": 1}
    least = float(model.cost.fraction([1] * len(full.widths)))
    most = max(_BUDGET, (1 + least) / 2)
    experiment = Experiment().replace(**{"methods": methods, "budgets": [most], **steps})
    refused = set()
    for personalizer in make_personalizers(experiment):
        try:
            personalizer.check(full, model.cost)
        except UserError:
            refused.add(personalizer.method)
            continue
        budget = most if personalizer.prunes else 1.0
        personal = personalizer.personalize(model, support, budget)
        with torch.no_grad():
            logits = personal.module(support.x)
        assert logits.isfinite().all()
        if personalizer.method.endswith("_dynamic"):
            continue  # as large as the gated network, with its gates
        assert personal.cost.macs <= budget * model.cost.full.macs
        rebuilt = build(personal.module.spec).eval()
        rebuilt.load_state_dict(personal.module.state_dict())
        with torch.no_grad():
            assert torch.allclose(rebuilt(support.x), logits, atol=1e-5)
    return refused


def _without_norms(spec: ShapeSpec) -> set[str]:
    return set() if affine(build(spec)) else {"ppp+tent"}


# The layers of these two, which take longest, are in others, too.
@pytest.mark.parametrize("name", names_by_structure(at_length=("bc_resnet", "resnet18")))
def test_every_method_runs_on_every_backbone(name: str):
    torch.manual_seed(0)
    options, shape = small(name)
    spec = spec_for(name, options, shape, 4)
    without_scales = name.startswith(("res8", "res15", "res26", "bc_resnet"))
    assert _refused(spec, shape) == (_OF_SCALES if without_scales else set()) | _without_norms(spec)


@pytest.mark.parametrize("name", OWN)
def test_every_method_runs_on_networks_of_users(name: str):
    cls, shape = OWN[name]
    place = f"{Path(own_nets.__file__)}:{cls.__name__}"
    torch.manual_seed(0)
    spec = adapt_foreign(place, {}, shape, 4).spec
    assert _refused(spec, shape) == _OF_SCALES | _without_norms(spec) | (_OF_BASES if name == "attention" else set())


@pytest.mark.parametrize("name", [pytest.param("MobileNetV2", marks=pytest.mark.slow), "ViT", "DistilBert"])
def test_every_method_runs_on_networks_of_transformers(name: str, tmp_path: Path):
    pytest.importorskip("transformers")
    torch.manual_seed(0)
    spec, shape = hub(name, tmp_path).spec, HUB[name][1]
    refused = _refused(spec, shape, _tokens if name == "DistilBert" else torch.randn)
    assert refused == (set() if name == "MobileNetV2" else _OF_SCALES | _OF_BASES | _without_norms(spec))


def _tokens(*shape: int) -> Tensor:
    return torch.randint(1, 90, shape).float()
