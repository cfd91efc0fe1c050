"""Every method on every structure of a backbone; slow tests walk all names."""

import pytest
import torch
from backbone_structures import names_by_structure
from small_backbones import small

from pppl import Experiment
from pppl.backbones import build, spec_for
from pppl.data import Support
from pppl.gating import GatedNetwork
from pppl.personalizers import METHODS, STEPS, GlobalModel, RetrainedNetwork, make_personalizers
from pppl.personalizers.tent import affine
from pppl.pruning import CostModel
from pppl.system.errors import UserError
from pppl.tasks import TASKS

BUDGET = 0.6


@pytest.mark.parametrize("name", names_by_structure())
def test_every_method_runs_on_every_backbone(name: str):
    torch.manual_seed(0)
    options, shape = small(name)
    spec = spec_for(name, options, shape, 4)
    gated = {kind: GatedNetwork(build(spec)).eval() for kind in ("ppp", "gated")}
    full = build(spec).eval()
    support = Support(x=torch.randn(6, *shape), y=torch.arange(6) % 4)
    train = Support(x=torch.randn(5, *shape), y=torch.arange(5) % 4)
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
    experiment = Experiment().replace(**{"methods": methods, "budgets": [BUDGET], **steps})
    refused = set()
    for personalizer in make_personalizers(experiment):
        try:
            personalizer.check(full, model.cost)
        except UserError:
            refused.add(personalizer.method)
            continue
        budget = BUDGET if personalizer.prunes else 1.0
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
    without_scales = name.startswith(("res8", "res15", "res26", "bc_resnet"))
    of_scales = {"bn_scale", "bn_scale_local", "bn_scale_isomorphic"}
    tent = set() if affine(full) else {"ppp+tent"}
    assert refused == ((of_scales if without_scales else set()) | tent)
