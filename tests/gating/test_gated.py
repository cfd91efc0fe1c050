import copy

import pytest
import torch

from pppl.backbones import build, spec_for
from pppl.gating import GatedNetwork, prototype
from pppl.pruning import CostModel, budget_masks, threshold_masks


@pytest.fixture
def network() -> GatedNetwork:
    torch.manual_seed(0)
    network = GatedNetwork(build(spec_for("convnet", {"widths": (6, 8, 8)}, (1, 8, 8), 4)))
    for gate in network.gates:
        torch.nn.init.normal_(gate.logits.weight)  # type: ignore[union-attr, arg-type]
        torch.nn.init.normal_(gate.logits.bias)  # type: ignore[union-attr, arg-type]
    return network.eval()


def test_evaluation_is_deterministic_and_training_is_not(network: GatedNetwork):
    x = torch.rand(16, 1, 8, 8)
    torch.testing.assert_close(network(x).logits, network(x).logits, rtol=0, atol=0)
    output = network(x)
    for gate, logits in zip(output.gates, output.gate_logits, strict=True):
        torch.testing.assert_close(gate, (logits >= 0).float())
    network.train()
    assert not torch.equal(network(x).gates[0], network(x).gates[0])


def test_the_backbone_knows_nothing_of_gates(network: GatedNetwork):
    x = torch.rand(3, 1, 8, 8)
    plain = copy.deepcopy(network.backbone)
    network(x)
    torch.testing.assert_close(network.backbone(x), plain(x), rtol=0, atol=0)
    hooked = [m for m in network.backbone.modules() if m._forward_hooks or m._forward_pre_hooks]
    assert hooked == []
    open_gates = [torch.ones(width) for width in network.backbone.widths]
    torch.testing.assert_close(network(x, open_gates).logits, plain(x))


def test_a_prototype_is_the_mean_open_probability(network: GatedNetwork):
    x = torch.rand(5, 1, 8, 8)
    with torch.no_grad():
        each = network(x)
    for values, logits in zip(prototype(network, x), each.gate_logits, strict=True):
        torch.testing.assert_close(values, logits.sigmoid().mean(0))


def test_deciding_gives_the_gates_of_a_whole_pass(network: GatedNetwork):
    x = torch.rand(5, 1, 8, 8)
    masks = [torch.tensor([1.0, 0, 1, 0, 1, 1]), None, None]
    for given in (None, masks):
        whole = network(x, given)
        for a, b in zip(network.decide(x, given), whole.gate_logits, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.backbone.modules())


def test_sequential_prototypes_see_the_pruned_network(network: GatedNetwork):
    x = torch.rand(5, 1, 8, 8)
    scores = prototype(network, x, sequential=threshold_masks)
    masks = threshold_masks(scores)
    assert all(set(score.tolist()) <= {torch.inf, -torch.inf} for score in scores)
    # The first layer sees the same input either way; each later one what the masks before it leave.
    torch.testing.assert_close(masks[0], threshold_masks(prototype(network, x))[0])
    with torch.no_grad():
        seen = network(x, [mask.float() for mask in masks])
    for mask, logits in zip(masks, seen.gate_logits, strict=True):
        torch.testing.assert_close(mask, threshold_masks([logits.sigmoid().mean(0)])[0])


def test_sequential_prototypes_meet_a_budget(network: GatedNetwork):
    cost = CostModel(network.backbone, (1, 8, 8))
    scores = prototype(network, torch.rand(5, 1, 8, 8), sequential=lambda s: budget_masks(s, cost, 0.3))
    masks = budget_masks(scores, cost, 0.3)
    assert cost.fraction([int(mask.sum()) for mask in masks]) <= 0.3
