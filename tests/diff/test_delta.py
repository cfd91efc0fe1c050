"""From fixed positions to a file, and from a file to any base it belongs to, bit for bit."""

import copy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from tied_network import Tied, make
from torch import Tensor, nn

from pppl.diff import DeltaFile, DeltaStore, FixedDiff, Flat, base_sha256, delta_of, roles, top_positions, write_delta
from pppl.system.errors import UserError

DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64]


def bits(module: nn.Module) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in module.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Bit for bit, so that NaN is NaN and -0 is not 0."""
    return one.keys() == other.keys() and all(
        one[key].dtype == other[key].dtype
        and one[key].contiguous().view(-1).view(torch.uint8).equal(other[key].contiguous().view(-1).view(torch.uint8))
        for key in one
    )


def trained(
    path: Path, seed: int, rate: float = 0.1, dtype: torch.dtype = torch.float32
) -> tuple[Tied, dict[str, Tensor]]:
    """Writes the file of a task trained in its own way; returns the base and the task's weights."""
    module, x, y = make(dtype)
    of = roles(module, dense=["head.*"])
    own = {name: module.get_parameter(name) for name in of.dense} | dict(module.named_buffers())
    sha256, base = base_sha256(module, own=own), copy.deepcopy(module)
    flat = Flat(module, of.diff)
    torch.manual_seed(seed)
    fixed = FixedDiff(flat, top_positions(torch.rand(flat.blocks, 256), flat, rate))
    optimizer = torch.optim.AdamW([fixed.values, *module.head.parameters()], lr=0.05)
    for _ in range(4):
        optimizer.zero_grad()
        F.cross_entropy(module(x + 0.1 * torch.randn_like(x)).float(), y).backward()
        fixed.gather()
        optimizer.step()
        fixed.scatter()
    delta = delta_of(flat, fixed.positions, fixed.values, state=own, base_sha256=sha256, metadata={"seed": str(seed)})
    write_delta(str(path), delta, torch.float64 if dtype == torch.float64 else torch.float32)
    return base, bits(module)


@pytest.mark.parametrize("rate", [0.0, 0.003, 0.25, 1.0])
def test_exactly_so_many_positions_are_kept_and_the_best(rate: float):
    module, _, _ = make()
    flat = Flat(module, roles(module).diff)
    scores = torch.rand(flat.blocks, 256)
    positions = top_positions(scores, flat, rate)
    assert len(positions) == round(rate * flat.size)
    assert len(positions.unique()) == len(positions)
    real = torch.ones(scores.numel(), dtype=torch.bool)
    real[flat.padding()] = False
    assert real[positions].all(), "no position where no parameter lies"
    left = real.clone()
    left[positions] = False
    if 0 < rate < 1:
        assert scores.view(-1)[positions].min() >= scores.view(-1)[left].max()
    assert len(top_positions(torch.zeros_like(scores), flat, rate)) == len(positions), "ties too"
    with pytest.raises(UserError, match=r"is 1.5: it is a fraction in \[0, 1\]"):
        top_positions(scores, flat, 1.5)


def test_only_fixed_positions_change_and_the_base_comes_back():
    module, x, y = make(torch.float32)
    of = roles(module, dense=["head.*"], frozen=["second.bias"])
    assert (of.dense, of.frozen) == (("head.weight", "head.bias"), ("second.bias",))
    before, flat = bits(module), Flat(module, of.diff)
    positions = top_positions(torch.rand(flat.blocks, 256), flat, 0.05)
    positions = positions[positions < flat.slots["norm.weight"].start]
    fixed = FixedDiff(flat, positions)
    optimizer = torch.optim.SGD([fixed.values], lr=0.5)
    F.cross_entropy(module.eval()(x), y).backward()
    assert module.norm.weight.grad is None, "nothing there to train"
    expected = torch.cat([parameter.grad.reshape(-1) for parameter in (module.first.weight, module.first.bias)])
    fixed.gather()
    index = torch.where(positions < flat.slots["first.bias"].start, positions, positions - (512 - 400))
    assert fixed.values.grad is not None
    torch.testing.assert_close(fixed.values.grad, expected[index])
    optimizer.step()
    fixed.scatter()
    changed = {name: int((value != before[name]).sum()) for name, value in module.state_dict().items()}
    assert sum(changed.values()) - changed["second.weight"] == len(positions), "second.weight is first.weight"
    fixed.close()
    assert same(bits(module), before)
    assert all(parameter.requires_grad for parameter in module.parameters())


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_store_swaps_tasks_bit_for_bit(dtype: torch.dtype, tmp_path: Path):
    base, first = trained(tmp_path / "a", 1, dtype=dtype)
    _, second = trained(tmp_path / "b", 2, rate=0.4, dtype=dtype)
    before = bits(base)
    store = DeltaStore(base, dense=["head.*"])
    store.add("a", DeltaFile(tmp_path / "a"))
    store.apply("a")
    store.add("b", DeltaFile(tmp_path / "b"))
    assert (store.names, store.applied) == (["a", "b"], "a")
    for name, expected in (("a", first), ("b", second), ("a", first), ("a", first), ("b", second)):
        store.apply(name)
        assert same(bits(base), expected), name
        assert base.second.weight is base.first.weight
    assert same(store.merged("a"), first)
    assert same(bits(base), second), "merging left the applied task alone"
    plain = Tied(dtype)
    plain.load_state_dict(store.merged("a"))
    assert same(bits(plain), first)
    store.revert()
    assert same(bits(base), before)
    with pytest.raises(UserError, match="unknown task 'c'"):
        store.apply("c")


@given(
    shapes=st.lists(st.lists(st.integers(0, 9), min_size=0, max_size=3), min_size=1, max_size=4),
    dtype=st.sampled_from(DTYPES),
    density=st.sampled_from([0.0, 0.02, 0.5, 1.0]),
    seed=st.integers(0, 99),
)
def test_any_delta_comes_back_and_any_base_too(
    tmp_path_factory: pytest.TempPathFactory, shapes: list[list[int]], dtype: torch.dtype, density: float, seed: int
):
    torch.manual_seed(seed)
    module = nn.ParameterDict({f"p{i}": nn.Parameter(torch.randn(shape).to(dtype)) for i, shape in enumerate(shapes)})
    before, names = bits(module), [name for name, _ in module.named_parameters()]
    sha256, flat = base_sha256(module), Flat(module, names)
    positions = top_positions(torch.rand(flat.blocks, 256), flat, density)
    delta = delta_of(flat, positions, torch.randn(len(positions)), state={}, base_sha256=sha256)
    path = tmp_path_factory.getbasetemp() / "any"
    for value_dtype in DTYPES:
        write_delta(path, delta, value_dtype)
        read, expected = DeltaFile(path).read(), delta.to(value_dtype)
        assert read.count == len(positions) == round(density * flat.size)
        assert {name: len(rows) for name, rows in read.positions.items()} == {
            name: len(rows) for name, rows in expected.positions.items()
        }
        assert all(torch.equal(read.positions[name], rows) for name, rows in expected.positions.items())
        assert same(dict(read.values), dict(expected.values))
        store = DeltaStore(module)
        store.add("task", DeltaFile(path))
        store.apply("task")
        for name in names:
            wide = before[name].to(torch.float64 if torch.float64 in (dtype, value_dtype) else torch.float32)
            wide = wide.to(store.flat.state_dtype).clone().view(-1)
            if name in read.positions:
                wide[read.positions[name]] += read.values[name].to(wide.dtype)
            assert torch.equal(module.get_parameter(name).view(-1), wide.to(dtype)), name
        store.revert()
        assert same(bits(module), before)
