"""The fused passes against what the paper says, tensor by tensor and by automatic differentiation."""

import copy
import math
import shutil
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from tied_network import make
from torch import Tensor, nn

from pppl.diff import Flat, RelaxedDiff, passes, roles
from pppl.diff.flat import BLOCK
from pppl.diff.hard_concrete import gate, open_probability
from pppl.diff.passes import noise
from pppl.diff.relaxed import compile_passes
from pppl.system.errors import UserError

PENALTY, RATE, GATE_RATE = 1e-3, 1e-2, 0.1


class Reference:
    """Diff pruning with a tensor of w and of log_alpha for each parameter."""

    def __init__(self, module: nn.Module, names: tuple[str, ...], structured: bool, groups: str):
        self.module, self.structured, self.product = module, structured, groups == "product"
        self.base = {name: module.get_parameter(name).detach().clone() for name in names}
        self.w = {name: torch.zeros_like(base).requires_grad_() for name, base in self.base.items()}
        self.alpha = {name: torch.full_like(base, 5.0).requires_grad_() for name, base in self.base.items()}
        self.group = {name: torch.full((), 5.0, dtype=torch.float64).requires_grad_() for name in names}
        gates = [*self.alpha.values(), *(self.group.values() if structured else ())]
        self.groups = [*self.w.values()], gates
        of_gates = {"params": gates, "lr": GATE_RATE, "eps": 1e-15}
        self.optimizer = torch.optim.Adam([{"params": self.groups[0], "lr": RATE}, of_gates])

    def loss(self, x: Tensor, y: Tensor, u: dict[str, Tensor], group_u: Tensor) -> Tensor:
        weights, penalty = {}, torch.zeros((), dtype=torch.float64)
        for index, (name, base) in enumerate(self.base.items()):
            z, opened = gate(self.alpha[name], u[name]), open_probability(self.alpha[name])
            if self.structured:
                z = z * gate(self.group[name], group_u[index])
                of_group = open_probability(self.group[name])
                penalty = penalty if self.product else penalty + of_group
                opened = opened * of_group if self.product else opened
            weights[name] = base + z * self.w[name]
            penalty = penalty + opened.sum()
        return F.cross_entropy(torch.func.functional_call(self.module, weights, (x,)), y) + PENALTY * penalty

    def step(self, x: Tensor, y: Tensor, u: dict[str, Tensor], group_u: Tensor) -> None:
        self.optimizer.zero_grad()
        self.loss(x, y, u, group_u).backward()
        for group in self.groups:
            nn.utils.clip_grad_norm_(group, 1.0)
        self.optimizer.step()


def noise_of(relaxed: RelaxedDiff) -> dict[str, Tensor]:
    """The noise of the sample at hand, per parameter."""
    flat = relaxed.flat
    parts = [noise(relaxed.w[flat.rows(part)], flat.edges[part], relaxed._key) for part in range(len(flat.parts))]
    return dict(flat.views(parts))


def per_parameter(relaxed: RelaxedDiff, values: Tensor) -> dict[str, Tensor]:
    flat = relaxed.flat
    return dict(flat.views([values[flat.rows(part)] for part in range(len(flat.parts))]))


@pytest.mark.parametrize(("structured", "groups"), [(True, "product"), (True, "sum"), (False, "sum")])
def test_steps_are_those_of_a_reference_tensor_by_tensor(structured: bool, groups: Literal["product", "sum"]):
    module, x, y = make()
    names = roles(module, dense=["head.*"]).diff
    reference = Reference(copy.deepcopy(module), names, structured, groups)
    options: dict[str, Any] = {"structured": structured, "groups": groups, "penalty": PENALTY}
    relaxed = RelaxedDiff(Flat(module, names), clip=1.0, seed=3, **options)
    for _ in range(8):
        relaxed.sample()
        arguments = (x, y, noise_of(relaxed), relaxed._group_noise)
        F.cross_entropy(module(x), y).backward()
        relaxed.step(learning_rate=RATE, gate_rate=GATE_RATE)
        reference.step(*arguments)
    for values, expected in ((relaxed.w, reference.w), (relaxed.log_alpha, reference.alpha)):
        for name, value in per_parameter(relaxed, values).items():
            torch.testing.assert_close(value, expected[name].detach(), rtol=1e-8, atol=1e-10, msg=name)
    if structured:
        torch.testing.assert_close(relaxed.group_log_alpha, torch.stack([*reference.group.values()]).detach())
    opened = [open_probability(reference.alpha[name]).sum() for name in names]
    if structured:
        opened = [count * open_probability(reference.group[name]) for count, name in zip(opened, names, strict=True)]
    assert relaxed.expected_count() == pytest.approx(sum(count.item() for count in opened))


def test_gradients_are_finite_differences():
    torch.manual_seed(0)
    double = {"dtype": torch.float64}
    w, log_alpha, gradient = (torch.randn(3, BLOCK, **double) for _ in range(3))
    group, group_open = torch.rand(3, 1, **double), torch.rand(3, 1, **double)
    penalty, key = torch.tensor(0.3, **double), torch.tensor([5, 6], dtype=torch.int32)

    def loss(w: Tensor, log_alpha: Tensor) -> Tensor:
        """Of each value; linear in the weights, so that `gradient` is the one with respect to them."""
        theta = torch.empty_like(w)
        passes.sample(theta, torch.zeros_like(w), w, log_alpha, group, 7, key)
        return gradient * theta + penalty * group_open * open_probability(log_alpha)

    of_w, of_alpha, along, probability = passes.gradients(w, log_alpha, gradient, group, group_open, penalty, 7, key)
    step = 1e-6
    torch.testing.assert_close(of_w, (loss(w + step, log_alpha) - loss(w - step, log_alpha)) / (2 * step))
    torch.testing.assert_close(of_alpha, (loss(w, log_alpha + step) - loss(w, log_alpha - step)) / (2 * step))
    torch.testing.assert_close(along * group, gradient * group * w * gate(log_alpha, noise(log_alpha, 7, key)))
    torch.testing.assert_close(probability, torch.sigmoid(log_alpha))
    sums = passes.norms(w, log_alpha, gradient, group, group_open, penalty, 7, key)
    expected = torch.stack([of_w.square(), of_alpha.square(), along, probability], 2).sum(1)
    torch.testing.assert_close(sums, expected)


@pytest.mark.parametrize("structured", [True, False])
def test_what_nothing_holds_open_closes(structured: bool):
    """However small the penalty: what matters is the way that gates can go, rate times steps."""
    module, x, y = make()
    flat = Flat(module, roles(module, dense=["head.*"]).diff)
    relaxed = RelaxedDiff(flat, structured=structured, penalty=1e-7)
    for _ in range(60):
        relaxed.sample()
        (0 * F.cross_entropy(module(x), y)).backward()
        relaxed.step(learning_rate=0.0, gate_rate=0.1)
    assert relaxed.expected_count() < 0.5 * flat.size
    assert relaxed.log_alpha.max() <= 0
    if structured:
        assert relaxed.group_log_alpha.max() <= 0


@pytest.mark.parametrize("groups", ["product", "sum"])
def test_only_the_product_makes_a_gate_pay_for_the_size_of_its_parameter(groups: Literal["product", "sum"]):
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 400))
    relaxed = RelaxedDiff(Flat(module, ["0.weight", "1.weight"]), groups=groups, penalty=1e-3)
    relaxed.sample()
    (0 * module(torch.ones(1, 4)).sum()).backward()
    arguments = [values for _, values in relaxed._arguments()]
    small, large = relaxed._group_gradient(torch.cat([passes.norms(*values) for values in arguments])).tolist()
    assert large / small == pytest.approx(100 if groups == "product" else 1, rel=1e-4)


def test_micro_batches_share_one_sample_of_the_gates():
    modules = {}
    for _ in range(2):
        module = make()[0].eval()
        modules[RelaxedDiff(Flat(module, ["first.weight", "head.weight"]), penalty=PENALTY)] = module
    whole, parts = modules
    _, x, y = make()
    for _ in range(3):
        for relaxed, batches in ((whole, [slice(0, 12)]), (parts, [slice(0, 6), slice(6, 12)])):
            for batch in batches:
                relaxed.sample()
                (F.cross_entropy(modules[relaxed](x[batch]), y[batch]) / len(batches)).backward()
            relaxed.step(learning_rate=RATE, gate_rate=GATE_RATE)
    torch.testing.assert_close(parts.w, whole.w)
    torch.testing.assert_close(parts.log_alpha, whole.log_alpha)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_the_base_is_held_between_steps(dtype: torch.dtype):
    module, x, y = make(dtype)
    before = copy.deepcopy(module.state_dict())
    relaxed = RelaxedDiff(Flat(module, roles(module).diff), penalty=PENALTY)
    for _ in range(2):
        relaxed.sample()
        F.cross_entropy(module.head(module.first(x)).float(), y).backward()
        relaxed.step(learning_rate=0.1, gate_rate=GATE_RATE)
        for name, parameter in module.named_parameters():
            assert torch.equal(parameter, before[name]), name
            assert parameter.grad is None
    with relaxed.evaluating():
        weight = module.first.weight.detach().clone()
    assert not torch.equal(weight, before["first.weight"])
    assert torch.equal(module.first.weight, before["first.weight"])
    difference = per_parameter(relaxed, relaxed.difference())["first.weight"]
    assert torch.equal(weight, (before["first.weight"] + difference).to(dtype))


def test_mixed_dtypes_are_one_storage_each():
    module = nn.Sequential(nn.Linear(20, 20), nn.Linear(20, 20, dtype=torch.bfloat16), nn.Linear(20, 20))
    relaxed = RelaxedDiff(Flat(module, roles(module).diff))
    x = torch.randn(4, 20)
    relaxed.sample()
    module[2](module[1](module[0](x).bfloat16()).float()).square().sum().backward()
    relaxed.step(learning_rate=0.1, gate_rate=GATE_RATE)
    assert [part.dtype for part in relaxed.flat.parts] == [torch.float32, torch.bfloat16]
    for name, w in per_parameter(relaxed, relaxed.w).items():
        assert w.abs().max() == pytest.approx(0.1, rel=1e-3), name  # the first step of Adam


def test_noise_never_reaches_0_or_1_and_a_closed_gate_stays_closed():
    noise = passes._fraction(torch.tensor([0, -1, 2**31 - 1, -(2**31)], dtype=torch.int32))
    assert noise.min() > 0
    assert noise.max() == 1 - 2.0**-24, "rounded up, it would be 1"
    for log_alpha in (-1e4, -100.0):
        z = gate(torch.tensor(log_alpha), noise)
        assert not z.any(), "no gate that is closed for good opens, or is not a number"


def test_gradients_that_are_not_finite_are_told():
    module, x, _ = make()
    relaxed = RelaxedDiff(Flat(module, ["head.weight"]))
    relaxed.sample()
    (module(x) * float("inf")).sum().backward()
    with pytest.raises(UserError, match="not finite: lower the learning rate"):
        relaxed.step(learning_rate=0.1, gate_rate=0.1)


def test_importance_tells_apart_what_gates_have_closed():
    module, x, y = make()
    relaxed = RelaxedDiff(Flat(module, roles(module).diff), penalty=PENALTY)
    for _ in range(3):
        relaxed.sample()
        F.cross_entropy(module(x), y).backward()
        relaxed.step(learning_rate=RATE, gate_rate=GATE_RATE)
    relaxed.log_alpha -= 20  # every gate closes
    assert not relaxed.difference().any()
    importance = per_parameter(relaxed, relaxed.importance())
    w, alpha = (per_parameter(relaxed, each) for each in (relaxed.w, relaxed.log_alpha))
    for name, group in zip(w, relaxed.group_log_alpha, strict=True):
        expected = w[name].abs() * torch.sigmoid(alpha[name]) * torch.sigmoid(group)
        torch.testing.assert_close(importance[name], expected)
        assert expected.unique().numel() > 1


def test_an_expected_count_starts_near_all_and_a_step_without_sample_is_an_error():
    relaxed = RelaxedDiff(Flat(make()[0], ["head.weight"]), structured=False)
    assert relaxed.expected_count() == pytest.approx(60 / (1 + math.exp(-5)))
    with pytest.raises(RuntimeError, match="step without sample"):
        relaxed.step(learning_rate=1.0, gate_rate=1.0)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None and shutil.which("clang++") is None, reason="torch.compile needs g++")
def test_a_compiled_pass_gives_the_same_numbers():
    torch.manual_seed(0)
    key, scales = torch.tensor([5, 6], dtype=torch.int32), torch.tensor([0.9, 1e-3, 0.8, 0.1, 0.1, 1e-3])
    w, log_alpha, gradient = (torch.randn(40, BLOCK) for _ in range(3))
    group, group_open, penalty = torch.rand(40, 1), torch.rand(40, 1), torch.tensor(1e-3)
    results = []
    for update in (passes.update, compile_passes(passes.update)):
        moments = [torch.full((40, BLOCK), 0.1) for _ in range(4)]
        tensors = w.clone(), log_alpha.clone()
        update(moments, scales, *tensors, gradient, group, group_open, penalty, 7, key)
        results.append([*tensors, *moments])
    for value, expected, start in zip(results[1], results[0], [w, log_alpha, *([None] * 4)], strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)
        assert start is None or not torch.equal(value, start)
