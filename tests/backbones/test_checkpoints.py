"""Checkpoints as others write them, and files that are damaged."""

import json
import random
import resource
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from pppl.backbones import Backbone, build, load_weights, spec_for
from pppl.system.errors import UserError

State = dict[str, Tensor]


def network(seed: int = 1, classes: int = 3) -> Backbone:
    torch.manual_seed(seed)
    return build(spec_for("convnet", {"widths": (4, 6)}, (1, 8, 8), classes))


SOURCE = network(0).state_dict()
OTHER = {name: value + 1 for name, value in SOURCE.items()}
OPTIMIZER = {"state": {0: {"exp_avg": torch.ones(4, 1, 3, 3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}


def under(prefix: str, state: State = SOURCE) -> State:
    return {prefix + name: value for name, value in state.items()}


def loaded(tree: object, path: Path) -> tuple[State, list[str], str]:
    """The state that a network has of a file, what stays fresh, and what is told."""
    lines: list[str] = []
    if path.suffix == ".npz":
        np.savez(path, **{name: value.numpy() for name, value in tree.items()})  # type: ignore[attr-defined]
    elif path.suffix == ".safetensors":
        safetensors.torch.save_file(tree, path)  # type: ignore[arg-type]
    else:
        torch.save(tree, path)
    target = network()
    fresh = load_weights(target, path, lines.append)
    (line,) = lines
    assert "\n" not in line
    return target.state_dict(), fresh, line


def same(first: State, second: State) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


# What is saved, and what is told of it.
TREES = {
    "plain": (SOURCE, ["14 tensors", "none is left"]),
    "ordered": (OrderedDict(SOURCE), ["none is left"]),
    "weights": ({"weights": SOURCE, "best_acc1": 0.9}, ["'weights'"]),
    "params": ({"params": SOURCE, "params_ema": OTHER}, ["'params'", "'params_ema'", "fit as well"]),
    "network": ({"network": under("module."), "optimizer": OPTIMIZER}, ["'network'", "'module.'"]),
    "timm": ({"epoch": 3, "arch": "x", "state_dict": SOURCE, "state_dict_ema": OTHER}, ["'state_dict_ema'"]),
    "timm, twice": ({"model": SOURCE, "model_ema": under("module.", OTHER)}, ["'model'", "'model_ema.module'"]),
    "averaged first": ({"ema_state_dict": OTHER, "model_state_dict": SOURCE}, ["'model_state_dict'"]),
    "averaged alone": ({"ema": under("module.")}, ["'ema'"]),
    "in sections": ({"checkpoint": {"state": {"model": under("module._orig_mod.")}}}, ["'module.' and '_orig_mod.'"]),
    "compiled in a wrapper": ({"net": under("_orig_mod.module.")}, ["_orig_mod"]),
    "compiled inside": (
        {name.replace("layers.1.", "layers.1._orig_mod."): value for name, value in SOURCE.items()},
        ["'_orig_mod.'", "none is left"],
    ),
    "Lightning": (
        {
            "state_dict": {**under("model.encoder."), "model.loss.weight": torch.ones(3)},
            "optimizer_states": [OPTIMIZER],
        },
        ["'state_dict'", "'model.encoder.'", "1 are left, such as state_dict.model.loss.weight"],
    ),
    "distillation": (
        {"state_dict": {**under("teacher.", OTHER), **under("net."), "teacher.more": torch.ones(1)}},
        ["'net.'", "'state_dict.teacher'"],
    ),
    "modules as dictionaries": (
        {"layers": {"0": {"conv": {"weight": SOURCE["layers.0.conv.weight"]}}}}
        | {name: value for name, value in SOURCE.items() if name != "layers.0.conv.weight"},
        ["none is left"],
    ),
    "without counts of batches": ({n: v for n, v in SOURCE.items() if not n.endswith("tracked")}, ["12 tensors"]),
    "names that no checkpoint has": (under("any.thing."), ["'any.thing.'"]),
}


@pytest.mark.parametrize("case", TREES)
def test_weights_are_found_by_the_conventions_of_the_field(case: str, tmp_path: Path):
    tree, told = TREES[case]
    state, fresh, line = loaded(tree, tmp_path / "w.pth")
    assert fresh == []
    assert same({n: v for n, v in SOURCE.items() if not n.endswith("tracked")}, state)
    assert all(part in line for part in told), line


@pytest.mark.parametrize("name", ["w.npz", "w.safetensors", "w.bin"])
@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.net.module.", "state_dict.backbone."])
def test_every_kind_of_file_has_the_same_conventions(name: str, prefix: str, tmp_path: Path):
    state, _, line = loaded({**under(prefix), "optimizer.step": torch.ones(1)}, tmp_path / name)
    assert same(SOURCE, state)
    assert "1 are left, such as optimizer.step" in line


def test_a_kind_is_told_by_what_a_file_holds_and_not_by_its_name(tmp_path: Path):
    loaded(SOURCE, tmp_path / "w.safetensors")
    arrays = {name.replace(".", "/"): value.numpy() for name, value in SOURCE.items()}
    np.savez(tmp_path / "w.npz", **{n: array.astype(array.dtype.newbyteorder(">")) for n, array in arrays.items()})
    for kind in ("safetensors", "npz"):
        path = (tmp_path / f"w.{kind}").rename(tmp_path / f"{kind}.pt")
        target = network()
        load_weights(target, path)
        assert same(SOURCE, target.state_dict())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn])
def test_any_precision_is_taken(dtype: torch.dtype, tmp_path: Path):
    lower = {name: value.to(dtype) if value.is_floating_point() else value for name, value in SOURCE.items()}
    state, *_ = loaded({"model": lower}, tmp_path / "w.pt")
    assert state["head.weight"].dtype == torch.float32
    assert torch.equal(state["head.weight"], lower["head.weight"].float())


def test_a_file_of_before_pytorch_1_6(tmp_path: Path):
    torch.save({"net": SOURCE}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    target = network()
    load_weights(target, tmp_path / "old.pth")
    assert same(SOURCE, target.state_dict())


def test_the_section_whose_shapes_agree_is_taken(tmp_path: Path):
    torch.manual_seed(3)
    large = build(spec_for("convnet", {"widths": (9, 6)}, (1, 8, 8), 3)).state_dict()
    state, _, line = loaded({"model": large, "student": SOURCE}, tmp_path / "w.pt")
    assert same(SOURCE, state)
    assert "'student'" in line
    assert "as well" not in line


def test_only_another_number_of_classes_makes_a_head_fresh(tmp_path: Path):
    _, fresh, line = loaded({"model": network(0, classes=7).state_dict()}, tmp_path / "w.pt")
    assert fresh == ["head.bias", "head.weight"]
    assert "2 are left, such as model.head.weight" in line
    for name, value in {"head.weight": torch.ones(3, 9), "head.bias": torch.ones(7)}.items():
        with pytest.raises(UserError, match=f"{name} is "):
            loaded({"model": {**SOURCE, name: value}}, tmp_path / "w.pt")


class _Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.two.weight = self.one.weight


def test_a_shared_tensor_may_be_there_once(tmp_path: Path):
    source, target = _Tied(), _Tied()
    state = source.state_dict()
    torch.save({name: value for name, value in state.items() if name != "one.weight"}, tmp_path / "w.pt")
    load_weights(target, tmp_path / "w.pt")
    assert torch.equal(target.one.weight, source.one.weight)
    torch.save(state | {"two.weight": torch.zeros(4, 4)}, tmp_path / "w.pt")
    with pytest.raises(UserError, match=r"one\.weight and two\.weight differ"):
        load_weights(target, tmp_path / "w.pt")


def _whole(path: Path) -> None:
    torch.save({"model": nn.Sequential(nn.Linear(2, 2))}, path)


def _index(path: Path) -> None:
    path.write_text(json.dumps({"metadata": {}, "weight_map": {"a": "m-1-of-2.bin", "b": "m-2-of-2.bin"}}))


def _quantized(name: str) -> Tensor:
    return torch.quantize_per_tensor(SOURCE[name], 0.1, 0, torch.qint8)


def _of(**changed: Tensor):
    return lambda path: torch.save(
        {"model": {**SOURCE, **{n.replace("_", ".").replace("..", "_"): v for n, v in changed.items()}}}, path
    )


# The file's name, who writes it, and what its message names.
REFUSED = {
    "a whole module": ("w.pt", _whole, ["Sequential", "plain state dict"]),
    "an index": ("model.safetensors.index.json", _index, ["2 files", "m-1-of-2.bin", "join"]),
    "another index": ("pytorch_model.bin.index.json", _index, ["sharded"]),
    "a shard": ("m-00001-of-00002.pt", lambda path: torch.save({"head.bias": torch.ones(3)}, path), ["one part of"]),
    "a folder": ("w.distcp", Path.mkdir, ["is a folder"]),
    "no numbers": ("w.pt", _of(head_bias=torch.ones(3, device="meta")), ["head.bias", "meta"]),
    "sparse": ("w.pt", _of(head_weight=torch.eye(3, 6).to_sparse()), ["head.weight", "sparse"]),
    "complex": ("w.pt", _of(head_bias=torch.ones(3, dtype=torch.complex64)), ["head.bias", "complex64"]),
    "integers": ("w.pt", _of(head_bias=torch.ones(3, dtype=torch.int8)), ["head.bias", "int8"]),
    "too large for 32 bits": ("w.pt", _of(head_bias=torch.full((3,), 1e300, dtype=torch.float64)), ["head.bias"]),
    "variances": ("w.pt", _of(layers_1_norm_running__var=-torch.ones(6)), ["below 0"]),
    "objects": ("w.npz", lambda path: np.savez(path, a=np.array([{}], dtype=object)), ["can be read safely"]),
    "text": ("w.pt", lambda path: path.write_text("hello"), ["can be read safely"]),
    "nothing": ("w.pt", lambda path: torch.save({"epoch": 3}, path), ["holds nothing"]),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_network_of_this_kind_is_refused_by_name(case: str, tmp_path: Path):
    name, write, told = REFUSED[case]
    write(tmp_path / name)
    with pytest.raises(UserError) as error:
        load_weights(network(), tmp_path / name)
    assert "\n" not in str(error.value)
    assert all(part in str(error.value) for part in [name, *told]), str(error.value)


@pytest.mark.filterwarnings("ignore:.*quantize.*")
def test_quantized_weights_are_refused_by_name(tmp_path: Path):
    torch.save({**SOURCE, "head.weight": _quantized("head.weight")}, tmp_path / "w.pt")
    with pytest.raises(UserError, match=r"head\.weight as a quantized tensor"):
        load_weights(network(), tmp_path / "w.pt")


def test_a_checkpoint_that_holds_itself_ends(tmp_path: Path):
    tree: dict = {"model": SOURCE}
    tree["again"], tree["and"] = tree, {"again": tree}
    state, _, line = loaded(tree, tmp_path / "w.pt")
    assert same(SOURCE, state)
    assert "'model'" in line


def _samples(folder: Path) -> dict[str, bytes]:
    """A small file of every kind."""
    tree = {"model": under("module."), "optimizer": OPTIMIZER, "epoch": 3}
    torch.save(tree, folder / "w.pth")
    torch.save(tree, folder / "old.pth", _use_new_zipfile_serialization=False)
    safetensors.torch.save_file(under("module."), folder / "w.safetensors")
    np.savez_compressed(folder / "w.npz", **{name: value.numpy() for name, value in SOURCE.items()})
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Bytes changed, left out, put in or doubled, mostly near the ends, where the structure is."""
    changed = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 5, 40])):
        where = chance.choice([chance.random(), chance.random() ** 6, 1 - chance.random() ** 6])
        at = int(len(changed) * where)
        end = min(len(changed), at + chance.choice([1, 1, 4, 100]))
        kind = chance.randrange(4)
        if kind == 0:
            values = [0, 1, 127, 128, 255, chance.randrange(256)]
            changed[at:end] = bytes(chance.choice(values) for _ in range(end - at))
        elif kind == 1:
            del changed[at:end]
        elif kind == 2:
            changed[at:at] = changed[at:end]
        else:
            changed[at:end] = changed[at:end][::-1]
    return bytes(changed[: int(len(changed) * chance.random())] if chance.random() < 0.1 else changed)


def test_500_damaged_files_give_right_weights_or_one_line(tmp_path: Path):
    samples, chance, target = _samples(tmp_path), random.Random(0), network()
    outcomes = []
    for index in range(500):
        name = list(samples)[index % len(samples)]
        path = tmp_path / f"damaged{name[name.index('.') :]}"
        path.write_bytes(mutated(samples[name], chance))
        try:
            load_weights(target, path)
            outcomes.append("")
        except UserError as error:
            outcomes.append(str(error))
        assert all(value.isfinite().all() for value in target.state_dict().values())
    assert all("\n" not in line and len(line) < 1000 for line in outcomes)
    assert 0 < outcomes.count("") < 400
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 3 << 20  # KiB, of all tests in this process


def test_a_header_that_promises_more_than_the_file_has_takes_no_memory(tmp_path: Path):
    np.savez(tmp_path / "w.npz", **{"head.bias": np.zeros(3, np.float32)})
    content = (tmp_path / "w.npz").read_bytes()
    assert content.count(b"(3,)") == 1
    (tmp_path / "w.npz").write_bytes(content.replace(b"(3,), }           ", b"(30000000000,), } "))
    with pytest.raises(UserError, match="can be read safely"):
        load_weights(network(), tmp_path / "w.npz")
