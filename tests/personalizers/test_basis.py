import copy
from dataclasses import replace
from typing import cast

import pytest
import torch
from backbone_structures import names_by_structure
from small_backbones import small
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pppl import Experiment
from pppl.backbones import Backbone, BasisConv, ShapeSpec, build, put_bases, spec_for
from pppl.data import Support
from pppl.personalizers import GlobalModel, make_personalizers
from pppl.pruning import BasisCost, CostModel, basis_network, decompose
from pppl.system.errors import UserError
from pppl.tasks import TASKS

SHAPE = (3, 8, 8)


@pytest.fixture(scope="module")
def model() -> GlobalModel:
    torch.manual_seed(0)
    full = build(spec_for("convnet", {"widths": (6, 8, 9)}, SHAPE, 4)).eval()
    support = Support(x=torch.randn(9, *SHAPE), y=torch.arange(9) % 4)
    return GlobalModel(task=TASKS["classification"], full=full, gated={}, cost=CostModel(full, SHAPE), train=support)


def _macs(network: torch.nn.Module, shape: tuple[int, ...]) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, *shape))
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("name", names_by_structure())
def test_with_all_basis_filters_a_network_computes_what_it_did(name: str):
    torch.manual_seed(0)
    options, shape = small(name)
    full = build(spec_for(name, options, shape, 4)).eval()
    bases, x = decompose(full), torch.randn(3, *shape)
    for basis in bases:
        weight = full.get_parameter(f"{basis.path}.weight").flatten(1)
        torch.testing.assert_close(basis.left * basis.scale @ basis.right, weight, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(basis.right @ basis.right.T, torch.eye(len(basis.right)), atol=1e-5, rtol=0)
    # Two convolutions in place of each, even where that is no gain.
    whole = copy.deepcopy(full)
    put_bases(whole, {basis.path: len(basis.scale) for basis in bases})
    with torch.no_grad():
        for basis in bases:
            layer = cast(BasisConv, whole.get_submodule(basis.path))
            layer.basis.weight.copy_(basis.right.view_as(layer.basis.weight))
            layer.mix.weight.copy_((basis.left * basis.scale).view_as(layer.mix.weight))
            layer.mix.bias = cast(nn.Conv2d, full.get_submodule(basis.path)).bias
        torch.testing.assert_close(whole(x), full(x), atol=1e-5, rtol=1e-4)
    # Weights of rank one lose nothing where one basis filter is kept.
    for basis in bases:
        weight = full.get_parameter(f"{basis.path}.weight").data
        weight.copy_((basis.scale[0] * torch.outer(basis.left[:, 0], basis.right[0])).view_as(weight))
    bases = decompose(full)
    masks = [torch.arange(len(basis.scale)) == 0 for basis in bases]
    pruned = basis_network(full, bases, masks)
    assert any(isinstance(module, BasisConv) for module in pruned.modules())
    with torch.no_grad():
        torch.testing.assert_close(pruned(x), full(x), atol=1e-5, rtol=1e-4)
    cost = BasisCost(full, CostModel(full, shape))([1] * len(bases))
    assert cost.macs == _macs(pruned, shape)
    assert cost.params == sum(parameter.numel() for parameter in pruned.parameters())


def test_nothing_pruned_is_the_network_itself(model: GlobalModel):
    bases = decompose(model.full)
    whole = basis_network(model.full, bases, [torch.ones(len(basis.scale), dtype=torch.bool) for basis in bases])
    assert not any(isinstance(module, BasisConv) for module in whole.modules())
    assert BasisCost(model.full, model.cost)([len(basis.scale) for basis in bases]) == model.cost.full
    x = torch.randn(2, *SHAPE)
    with torch.no_grad():
        assert torch.equal(whole(x), model.full(x))


@pytest.mark.parametrize("method", ["basis", "basis_support"])
@pytest.mark.parametrize("unit", ["macs", "params"])
def test_the_budget_is_met_within_one_filter(model: GlobalModel, method: str, unit: str):
    (personalizer,) = make_personalizers(Experiment().replace(**{"methods": [method], "pruning.unit": unit}))
    cost = BasisCost(model.full, model.cost)
    for budget in (0.2, 0.4, 0.7):
        made = personalizer.personalize(model, model.train, budget)
        assert made.cost.macs == _macs(made.module, SHAPE)
        assert made.cost.params == sum(p.numel() for p in made.module.parameters())
        assert getattr(made.cost, unit) <= budget * getattr(model.cost.full, unit)
        ranks = []
        for basis in decompose(model.full):
            layer = made.module.get_submodule(basis.path)
            ranks.append(layer.basis.out_channels if isinstance(layer, BasisConv) else len(basis.scale))
        fuller = [
            cost.fraction(torch.tensor([r + (i == at) for i, r in enumerate(ranks)]).numpy(), unit)
            for at in range(len(ranks))
            if isinstance(made.module.get_submodule(decompose(model.full)[at].path), BasisConv)
        ]
        assert max(fuller) > budget


def test_the_largest_singular_values_stay_and_the_error_is_that_of_the_rest(model: GlobalModel):
    (personalizer,) = make_personalizers(Experiment().replace(methods=["basis"]))
    pruned = personalizer.personalize(model, model.train, 0.4).module
    for path, layer in pruned.named_modules():
        if isinstance(layer, BasisConv):
            weight = model.full.get_parameter(f"{path}.weight").flatten(1)
            product = layer.mix.weight.flatten(1) @ layer.basis.weight.flatten(1)
            left_out = torch.linalg.svdvals(weight)[layer.basis.out_channels :]  # Eckart, Young
            torch.testing.assert_close((weight - product).norm(), left_out.norm(), atol=1e-5, rtol=1e-4)


def test_on_a_persons_samples_scores_are_gradients_of_the_scales(model: GlobalModel):
    """Against differences of the loss in each scale."""
    from pppl.personalizers.basis_pruning import _taylor

    double = Support(x=model.train.x.double(), y=model.train.y)
    full = build(model.full.spec).double().eval()
    full.load_state_dict(model.full.state_dict())
    bases, step = decompose(full), 1e-6

    def loss() -> Tensor:
        return torch.nn.functional.cross_entropy(full(double.x), double.y)

    for basis, score in zip(bases, _taylor(replace(model, full=full), bases, double), strict=True):
        weight, numeric = full.get_parameter(f"{basis.path}.weight"), []
        for i in range(len(basis.scale)):
            direction = torch.outer(basis.left[:, i], basis.right[i]).view_as(weight)
            losses = []
            for sign in (1, -1):
                with torch.no_grad():
                    weight.add_(direction, alpha=sign * step)
                    losses.append(loss())
                    weight.sub_(direction, alpha=sign * step)
            numeric.append(((losses[0] - losses[1]) / (2 * step) * basis.scale[i]).abs())
        raw = torch.stack(numeric)
        torch.testing.assert_close(score, raw / raw.mean(), atol=1e-4, rtol=1e-3)


def test_a_basis_is_refused_where_there_can_be_none():
    spec = spec_for("ds_cnn_s", {"width": 8}, (1, 13, 9), 4)
    convs = {path: layer for path, layer in build(spec).named_modules() if isinstance(layer, torch.nn.Conv2d)}
    depthwise = next(path for path, conv in convs.items() if conv.groups > 1)
    plain = next(path for path, conv in convs.items() if conv.groups == 1)
    for ranks, message in (
        ({depthwise: 1}, "no convolution that can have a basis"),
        ({"missing": 1}, "no convolution that can have a basis"),
        ({plain: 99}, "has a rank of 1 to 8"),
    ):
        with pytest.raises(UserError, match=message):
            build(ShapeSpec(backbone=spec.backbone, options={**spec.options, "ranks": ranks}))
    with pytest.raises(UserError, match="unknown option of backbone ds_cnn_s 'ranks'"):
        spec_for("ds_cnn_s", {"ranks": {}}, (1, 13, 9), 4)


def test_the_least_budget_is_told_before_training(model: GlobalModel):
    (personalizer,) = make_personalizers(Experiment().replace(methods=["basis"], budgets=[0.001]))
    with pytest.raises(UserError, match=r"budget 0\.001 is too small"):
        personalizer.check(model.full, model.cost)


def test_a_basis_keeps_the_padding_and_takes_every_place_of_a_shared_convolution():
    conv = torch.nn.Conv2d(3, 3, 3, padding=1, padding_mode="circular", bias=False)

    class Twice(Backbone):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = conv, conv
            self.groups, self.spec = (), ShapeSpec(backbone="twice", options={"widths": ()})

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.two(self.one(x))

    network, x = Twice().double(), torch.randn(2, 3, 5, 5, dtype=torch.float64)
    bases = decompose(network)
    pruned = basis_network(network, bases, [torch.arange(3) < 2])
    assert pruned.get_submodule("one") is pruned.get_submodule("two")
    weight = (bases[0].left[:, :2] * bases[0].scale[:2] @ bases[0].right[:2]).view_as(conv.weight)
    with torch.no_grad():
        conv.weight.copy_(weight)
        torch.testing.assert_close(pruned(x), network(x))
