"""Files of small networks: what is written is read, or refused in one line."""

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

import pppl
from pppl.backbones import Adapted, slice_network
from pppl.lab.small_network import Personalized, _digest
from pppl.pruning import CostModel
from pppl.system.errors import UserError

X = torch.rand(5, 6, generator=torch.Generator().manual_seed(3))


class TwoPaths(nn.Module):
    """A network that has a layer at two paths, and a weight in two layers."""

    def __init__(self, *, tied: bool = True):
        super().__init__()
        self.one, self.two = nn.Linear(6, 12), nn.Linear(12, 6)
        self.head = nn.Linear(6, 6)
        self.again, self.last = self.head if tied else nn.Linear(6, 6), nn.Linear(6, 6)
        if tied:
            self.last.weight = self.head.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.again(torch.tanh(self.head(self.two(torch.relu(self.one(x))))))))


def _small(net: nn.Module) -> Personalized:
    network = Adapted(net, X)
    cost = CostModel(network, X)
    masks = [torch.arange(width) % 3 != 1 for width in network.widths]
    module = slice_network(network, masks).eval().net
    return Personalized(
        module=module,  # type: ignore[arg-type]
        cost=cost([int(mask.sum()) for mask in masks]),
        full_cost=cost.full,
        masks=masks,
        groups=network.groups,
    )


def test_tied_weights_are_written_once_and_read(tmp_path: Path):
    small = _small(TwoPaths())
    path = small.save(tmp_path / "small.safetensors")
    with safetensors.safe_open(path, "pt") as file:
        assert {"again.weight", "last.weight"}.isdisjoint(file.keys())
    for fresh in (TwoPaths(), TwoPaths(tied=False)):
        assert pppl.load_small(path, fresh)(X).equal(small.module(X))


class TwoHeads(nn.Module):
    """A network with two heads, whose biases may be one."""

    def __init__(self, *, tied: bool):
        super().__init__()
        self.one, self.left, self.right = nn.Linear(6, 12), nn.Linear(12, 3), nn.Linear(12, 3)
        if tied:
            self.right.bias = self.left.bias

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.one(x))
        return self.left(x) + self.right(x).tanh()


def test_two_tensors_are_not_read_into_one(tmp_path: Path):
    path = _small(TwoHeads(tied=False)).save(tmp_path / "small.safetensors")
    with pytest.raises(UserError, match=r"of another network than this TwoHeads: its right.bias and left.bias are one"):
        pppl.load_small(path, TwoHeads(tied=True))


def _net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))


def _rewritten(path: Path, *, hashed: bool, **changes: Any) -> None:
    """Change the header of a file, with the hash of the new one or of the old one."""
    with safetensors.safe_open(path, "pt") as file:
        header, state = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    old = header.pop("sha256")
    header |= {key: json.dumps(value) for key, value in changes.items()}
    path.write_bytes(safetensors.torch.save(state, header | {"sha256": _digest(header, state) if hashed else old}))


def test_an_altered_file_is_refused(tmp_path: Path):
    small = _small(_net())
    path = small.save(tmp_path / "small.safetensors")
    content = bytearray(path.read_bytes())
    content[-3] ^= 1  # one bit of a weight
    path.write_bytes(content)
    with pytest.raises(UserError, match="does not match its hash"):
        pppl.load_small(path, _net())
    small.save(other := tmp_path / "other.safetensors")
    _rewritten(other, hashed=False, masks=[[1] * 12, [1] * 8])
    with pytest.raises(UserError, match="does not match its hash"):
        pppl.load_small(other, _net())


@pytest.mark.parametrize(
    ("masks", "sentence"),
    [
        ([[1] * 12], "has 1 masks for 2 groups"),
        ([[1] * 12, [1] * 8, [1] * 3], "has 3 masks for 2 groups"),
        ([[0] * 12, [1] * 8], "keeps no channel of '0'"),
        ([[1] * 12, 1], "keeps no channel of '2'"),
        ([[1] * 11, [1] * 8], "is of another network than this Sequential"),
        ([[1] * 12, ["a"]], "truncated or altered"),
        ({"a": 1}, "truncated or altered"),
    ],
)
def test_masks_that_do_not_belong_to_the_groups_are_refused(tmp_path: Path, masks: Any, sentence: str):
    path = _small(_net()).save(tmp_path / "small.safetensors")
    _rewritten(path, hashed=True, masks=masks)
    with pytest.raises(UserError, match=sentence) as error:
        pppl.load_small(path, _net())
    assert "\n" not in str(error.value)


def test_a_layer_that_is_no_submodule_is_no_silent_difference(tmp_path: Path):
    """A file does not have its weights: a new network's would be read in their place."""

    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.post = nn.Linear(6, 12), nn.Linear(12, 3), [nn.Linear(12, 12)]

        def forward(self, x: Tensor) -> Tensor:
            return self.two(torch.relu(self.post[0](self.one(x))))

    path = _small(nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3))).save(tmp_path / "small.safetensors")
    with pytest.raises(UserError, match="Hidden: 'post' holds a Linear that is no submodule"):
        pppl.load_small(path, Hidden())
    with pytest.raises(UserError, match="'post' holds a Linear that is no submodule"):
        Adapted(Hidden(), X)


def test_layers_beside_the_tree_give_the_same_outputs_from_a_file(tmp_path: Path):
    class Listed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.norm, self.two = nn.Linear(6, 12), nn.BatchNorm1d(12), nn.Linear(12, 3)
            self.post = [self.norm]

        def forward(self, x: Tensor) -> Tensor:
            return self.two(torch.relu(self.post[0](self.one(x))))

    net = Listed()
    nn.init.uniform_(net.norm.bias)
    small = _small(net)
    assert small.module.post[0] is small.module.norm  # type: ignore[index]
    path = small.save(tmp_path / "small.safetensors")
    assert pppl.load_small(path, Listed())(X).equal(small.module(X))


def test_a_folder_is_made_and_a_class_is_no_network(tmp_path: Path):
    path = _small(TwoPaths()).save(tmp_path / "new" / "small.safetensors")
    with pytest.raises(UserError, match=r"give a new network, as MyNet\(\)"):
        pppl.load_small(path, TwoPaths)  # type: ignore[type-var] (the mistake that is meant)
