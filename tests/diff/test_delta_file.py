"""Delta files that are truncated, altered, of another base or hostile."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tied_network import Tied, make
from torch import Tensor

from pppl.diff import DeltaFile, DeltaStore, Flat, base_sha256, delta_of, roles, top_positions, write_delta
from pppl.system.errors import UserError

Table = list[list[Any]]


@pytest.fixture
def base() -> Tied:
    return make(torch.float32)[0]


@pytest.fixture
def path(base: Tied, tmp_path: Path) -> Path:
    flat = Flat(base, roles(base, dense=["head.*"]).diff)
    positions = top_positions(torch.rand(flat.blocks, 256, generator=torch.Generator().manual_seed(0)), flat, 0.1)
    own = {"head.weight": torch.zeros(5, 20), "head.bias": torch.zeros(5), "norm.running_mean": torch.ones(20)}
    sha256, values = base_sha256(base, own=own), torch.ones(len(positions))
    delta = delta_of(flat, positions, values, state=own, base_sha256=sha256, metadata={"task": "x"})
    write_delta(tmp_path / "task.safetensors", delta, torch.float16)
    return tmp_path / "task.safetensors"


def _rewrite(path: Path, change: Callable[[dict[str, Tensor], dict[str, str], Table], None]) -> None:
    """Writes the file again, with its tensors, header and table changed."""
    with safetensors.safe_open(path, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
        header = dict(file.metadata())
    table = json.loads(header["parameters"])
    change(tensors, header, table)
    if header.get("parameters") is not None and header["parameters"][:1] == "[":
        header["parameters"] = json.dumps(table)
    safetensors.torch.save_file(tensors, path, metadata=header)


def test_a_file_is_read_as_it_was_written(path: Path, base: Tied):
    file = DeltaFile(path)
    assert (file.dtype, file.metadata) == (torch.float16, {"task": "x"})
    assert file.shapes["first.weight"] == (20, 20)
    store = DeltaStore(base, dense=["head.*"])
    store.add("x", file)
    store.apply("x")
    assert base(torch.zeros(2, 20)).shape == (2, 5), "a head with another number of classes"
    store.revert()
    assert base(torch.zeros(2, 20)).shape == (2, 3)


def test_values_that_no_file_holds(path: Path):
    delta = DeltaFile(path).read()
    with pytest.raises(UserError, match=r"cannot hold values of torch.int8: choose float32"):
        write_delta(path, delta, torch.int8)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"head.weight": torch.zeros(5, 20)}, r"head.weight is \(5, 20\), but head.bias is \(3,\)"),
        ({"head.weight": torch.zeros(5, 20), "head.bias": torch.zeros(4)}, r"head.\w+ is .*, but head.\w+ is"),
        ({"head.weight": torch.zeros(3, 7)}, r"head.weight is torch.float32 \(3, 7\), which the base cannot take"),
        ({"norm.running_mean": torch.zeros(21)}, r"running_mean is .* \(21,\), which the base cannot take"),
    ],
)
def test_own_tensors_that_do_not_fit(path: Path, base: Tied, own: dict[str, Tensor], message: str):
    flat = Flat(base, roles(base, dense=["head.*"]).diff)
    none, heads = torch.empty(0, dtype=torch.int64), ["head.weight", "head.bias"]
    sha256 = base_sha256(base, own=[*heads, *own])
    write_delta(path, delta_of(flat, none, torch.empty(0), state=own, base_sha256=sha256))
    store = DeltaStore(base, dense=["head.*"])
    with pytest.raises(UserError, match=message):
        store.add("x", DeltaFile(path))
    assert store.names == []


def test_batch_statistics_that_a_task_does_not_bring_are_the_bases(path: Path, base: Tied):
    base.get_buffer("norm.running_mean").add_(5)  # which the file brings
    DeltaStore(base, dense=["head.*"]).add("x", DeltaFile(path))
    base.get_buffer("norm.running_var").add_(5)  # which it does not
    with pytest.raises(UserError, match=r"belongs to another base"):
        DeltaStore(base, dense=["head.*"]).add("x", DeltaFile(path))


def test_what_trains_an_applied_task_does_not_train_the_stores(path: Path, base: Tied):
    store = DeltaStore(base, dense=["head.*"])
    store.add("x", DeltaFile(path))
    before = base.state_dict()["norm.running_mean"].clone()
    for _ in range(2):
        store.apply("x")
        assert torch.equal(base.norm.running_mean, torch.ones(20))
        assert not base.head.weight.any()
        base.train()(torch.randn(8, 20))  # batch statistics move
        base.head.weight.data += 1
        store.revert()
        assert torch.equal(base.norm.running_mean, before)
        assert base.head.weight.shape == (3, 20)


def test_what_becomes_of_a_file_does_not_change_what_was_read(path: Path, base: Tied):
    store = DeltaStore(base, dense=["head.*"])
    store.add("x", DeltaFile(path))
    with path.open("r+b") as file:
        file.write(b"\xff" * path.stat().st_size)
    store.apply("x")
    assert not base.head.weight.any()
    assert torch.equal(base.norm.running_mean, torch.ones(20))


def test_batch_statistics_that_move_under_a_task_without_any_come_back(path: Path, base: Tied):
    flat, none = Flat(base, roles(base, dense=["head.*"]).diff), torch.empty(0, dtype=torch.int64)
    sha256 = base_sha256(base, own=["head.weight", "head.bias"])
    write_delta(path, delta_of(flat, none, torch.empty(0), state={}, base_sha256=sha256))
    store, before = DeltaStore(base, dense=["head.*"]), base.norm.running_mean.clone()
    store.add("x", DeltaFile(path))
    store.apply("x")
    base.train()(torch.randn(8, 20))
    store.revert()
    assert torch.equal(base.norm.running_mean, before)


def test_a_parameter_of_a_tasks_own_may_be_anything_under_all_its_names(base: Tied):
    before = base_sha256(base, own=["first.weight"])
    base.second.weight.data += 1
    assert base_sha256(base, own=["first.weight"]) == base_sha256(base, own=["second.weight"]) == before
    base.second.bias.data += 1
    assert base_sha256(base, own=["first.weight"]) != before


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(UserError, match=r"none.safetensors is not there"):
        DeltaFile(tmp_path / "none.safetensors")


def test_a_file_of_another_base(path: Path, base: Tied):
    base.first.weight.data[0, 0] += 1
    store = DeltaStore(base, dense=["head.*"])
    with pytest.raises(UserError, match=r"belongs to another base .* load the network that it was trained on"):
        store.add("x", DeltaFile(path))
    assert store.names == []


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_truncated_file(keep: int, path: Path):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match="is truncated or no delta file"):
        DeltaFile(path)


def _row(column: int, value: object) -> Callable[[dict[str, Tensor], dict[str, str], Table], None]:
    def change(_: dict[str, Tensor], _header: dict[str, str], table: Table) -> None:
        table[0][column] = value

    return change


HOSTILE = {
    "another format": lambda t, h, table: h.update(format="pppl-delta 9"),
    "no table": lambda t, h, table: h.pop("parameters"),
    "a table that is none": lambda t, h, table: h.update(parameters="{}"),
    "a table too deep": lambda t, h, table: h.update(parameters="(" + "[" * 100_000),
    "a task that is none": lambda t, h, table: h.update(task='{"a": 1}'),
    "a row too short": lambda t, h, table: table[0].pop(),
    "a name twice": lambda t, h, table: table.append([table[0][0], [1], 0, 0, 0]),
    "a name that is none": _row(0, 5),
    "a shape that is none": _row(1, "20"),
    "a shape too large": _row(1, [2**30, 2**30, 2**30]),
    "a shape whose size wraps around": lambda t, h, table: table.append(["other", [2**16] * 4, 0, 0, 0]),
    "a table too long": lambda t, h, table: table.extend([f"p{i}", [1], 0, 0, 0] for i in range(200_000)),
    "a negative shape": _row(1, [-20, -20]),
    "a shape too long": _row(1, [1] * 9),
    "more positions than values": _row(2, 401),
    "one position less": lambda t, h, table: table[0].__setitem__(2, table[0][2] - 1),
    "a negative count": _row(2, -1),
    "a count that is no number": _row(2, True),
    "a count far too large": _row(2, 2**62),
    "remainders too long": _row(3, 60),
    "quotients too long": _row(4, 2**30),
    "no quotients": _row(4, 0),
    "fewer values": lambda t, h, table: t.update(values=t["values"][:-1]),
    "fewer codes": lambda t, h, table: t.update(positions=t["positions"][:-1]),
    "values of integers": lambda t, h, table: t.update(values=t["values"].int()),
    "positions of floats": lambda t, h, table: t.update(positions=t["positions"].float()),
    "no values": lambda t, h, table: t.pop("values"),
    "another tensor": lambda t, h, table: t.update(other=torch.ones(1)),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_header_is_refused_when_the_file_is_opened(change: Callable[..., None], path: Path):
    _rewrite(path, change)
    with pytest.raises(UserError, match=r"is damaged|is no delta file of this version"):
        DeltaFile(path)


MISFITS = {
    "an unknown parameter": (_row(0, "other.weight"), "the base has no parameter other.weight of shape"),
    "another shape": (_row(1, [400]), r"the base has no parameter first.weight of shape \(400,\)"),
    "an unknown buffer": (
        lambda t, h, table: t.update({"state.norm.mean": torch.ones(20)}),
        "unknown tensor of .*norm.mean",
    ),
    "a buffer of another shape": (
        lambda t, h, table: t.update({"state.norm.running_mean": torch.ones(21)}),
        "norm.running_mean is torch.float32 .21,., which the base cannot take",
    ),
    "a head of another type": (lambda t, h, table: t.update({"state.head.bias": torch.ones(3).half()}), "cannot take"),
    "a head of another rank": (lambda t, h, table: t.update({"state.head.weight": torch.ones(60)}), "cannot take"),
}


@pytest.mark.parametrize(("change", "message"), MISFITS.values(), ids=MISFITS.keys())
def test_what_does_not_fit_the_base_changes_nothing(change: Callable[..., None], message: str, path: Path, base: Tied):
    _rewrite(path, change)
    before = {key: value.clone() for key, value in base.state_dict().items()}
    store = DeltaStore(base, dense=["head.*"])
    with pytest.raises(UserError, match=message):
        store.add("x", DeltaFile(path))
    assert store.names == []
    assert all(torch.equal(value, before[key]) for key, value in base.state_dict().items())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=8))
def test_altered_bytes_never_reach_the_base_as_impossible_positions(path: Path, edits: list[tuple[int, int]]):
    def change(tensors: dict[str, Tensor], _header: dict[str, str], _table: Table) -> None:
        for where, byte in edits:
            tensors["positions"][where % len(tensors["positions"])] = byte

    altered = path.with_name("altered")
    altered.write_bytes(path.read_bytes())
    _rewrite(altered, change)
    file = DeltaFile(altered)
    base = make(torch.float32)[0]
    store = DeltaStore(base, dense=["head.*"])
    try:
        for name, positions, values in file.windows():
            assert len(positions) == len(values)
            assert 0 <= positions.min() <= positions.max() < file.shapes[name].numel()
    except UserError:
        with pytest.raises(UserError, match="is damaged"):
            store.add("x", file)
        assert store.names == []
    else:
        store.add("x", file)
