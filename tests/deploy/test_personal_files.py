"""Personal files of every form: what is written is read, and what was touched is refused."""

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from small_backbones import small

from pppl.backbones import Backbone, ShapeSpec, adapt_foreign, build, slice_network, spec_for
from pppl.cli.command import main
from pppl.data import Support
from pppl.data.preprocessing import Preprocessing
from pppl.deploy import Deployed, PersonalFile, Thin, open_onnx, read_personal
from pppl.deploy.formats import to_onnx
from pppl.deploy.latency import latency
from pppl.deploy.personal_file import _digest
from pppl.diff import base_sha256
from pppl.system import plugins
from pppl.system.errors import UserError
from pppl.system.plugins import load_plugins
from pppl.tasks import TASKS
from pppl.training import learn_delta
from pppl.training.delta_training import DiffSettings

_MUTATIONS = {"safetensors": 900, "thin": 600, "onnx": 500}  # 2,000 in all


def _network(name: str = "resnet20", **more: object) -> Backbone:
    options, shape = small(name)
    torch.manual_seed(0)
    network = build(spec_for(name, options | more, shape, 4)).eval()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.running_var, 0.5, 2)
            torch.nn.init.normal_(layer.running_mean)
    return network


def _masks(network: Backbone) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(width, generator=generator).argsort() < (width + 1) // 2 for width in network.widths]


def _preprocessing(shape: tuple[int, ...]) -> Preprocessing:
    return Preprocessing(classes=("a", "b", "c", "d"), shape=shape, gain=(0.5,), bias=(0.1,))


@pytest.fixture(scope="module")
def base() -> Backbone:
    return _network(index_add=True)


@pytest.fixture(scope="module")
def personal(base: Backbone) -> PersonalFile:
    return PersonalFile(
        network=slice_network(base, _masks(base)),
        full=base.spec,
        preprocessing=_preprocessing((3, 8, 8)),
        base_sha256=base_sha256(base),
        provenance={"method": "ppp"},
    )


def test_a_personal_file_is_read_as_it_was_written(personal: PersonalFile, tmp_path: Path):
    personal.write(tmp_path / "p.safetensors")
    read = read_personal(tmp_path / "p.safetensors")
    x = torch.randn(3, 3, 8, 8)
    torch.testing.assert_close(read.network(x), personal.network.eval()(x), atol=0, rtol=0)
    assert read.network.spec == personal.network.spec
    for name in ("full", "preprocessing", "base_sha256", "provenance"):
        assert getattr(read, name) == getattr(personal, name)


def test_a_thin_model_is_a_bit_per_channel_and_makes_the_same_network(base: Backbone, tmp_path: Path):
    masks = _masks(base)
    Thin.of(base, masks).write(tmp_path / "p.thin")
    assert (tmp_path / "p.thin").stat().st_size <= sum(base.widths) / 8 + 256
    network, sliced = Thin.read(tmp_path / "p.thin").network(base), slice_network(base, masks)
    assert network.spec == sliced.spec
    for key, value in sliced.state_dict().items():
        assert torch.equal(network.state_dict()[key], value)


def test_a_thin_model_with_a_delta_is_the_tuned_network(base: Backbone, tmp_path: Path):
    masks = _masks(base)
    support = Support(x=torch.randn(8, 3, 8, 8), y=torch.arange(8) % 4)
    diff = DiffSettings(steps=2, fixed_steps=2)
    tuned, delta, _ = learn_delta(
        slice_network(base, masks), support, TASKS["classification"], diff, rate=0.05, structured=True
    )
    Thin.of(base, masks, delta).write(tmp_path / "p.thin")
    network = Thin.read(tmp_path / "p.thin").network(base)
    for key, value in tuned.state_dict().items():
        assert torch.equal(network.state_dict()[key], value), key
    assert not torch.equal(network(support.x), slice_network(base, masks)(support.x))


def test_a_thin_model_of_another_network_is_refused(base: Backbone):
    thin = Thin.of(base, _masks(base))
    with pytest.raises(UserError, match="belongs to another network"):
        thin.network(_network(index_add=True, shortcut="B"))
    empty = Thin(kept=np.zeros(sum(base.widths), bool), base_sha256=thin.base_sha256)
    with pytest.raises(UserError, match="keeps no channel of a layer"):
        empty.network(base)


@pytest.mark.slow
@pytest.mark.parametrize("form", _MUTATIONS)
def test_whatever_happens_to_a_file_it_is_refused_or_right(
    form: str, base: Backbone, personal: PersonalFile, tmp_path: Path
):
    deployed = Deployed(personal.network, personal.preprocessing)
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        right = deployed(x)
    contents: dict[str, Callable[[], bytes]] = {
        "safetensors": personal.to_bytes,
        "thin": Thin.of(base, _masks(base)).to_bytes,
        "onnx": lambda: to_onnx(deployed, {"raw_audio": False}),
    }
    readers: dict[str, Callable[[Path], torch.Tensor]] = {
        "safetensors": lambda path: Deployed(read_personal(path).network, personal.preprocessing)(x),
        "thin": lambda path: Deployed(Thin.read(path).network(base), personal.preprocessing)(x),
        "onnx": lambda path: torch.from_numpy(open_onnx(path)(x.numpy())),
    }
    content, path, rng = contents[form](), tmp_path / f"p.{form}", random.Random(0)
    refused = 0
    for index in range(_MUTATIONS[form]):
        path.write_bytes(_mutated(content, index, rng))
        try:
            with torch.inference_mode():
                torch.testing.assert_close(readers[form](path), right, atol=1e-5, rtol=1e-5)
        except UserError as error:
            refused += len(str(error)) < 600  # a clear line
    assert refused > 0.9 * _MUTATIONS[form]
    path.write_bytes(content)
    torch.testing.assert_close(readers[form](path).detach(), right, atol=1e-5, rtol=1e-5)


def _mutated(content: bytes, index: int, rng: random.Random) -> bytes:
    """Bits flipped (mostly in the header), cut off, doubled, zeroed, or with something behind."""
    changed = bytearray(content)
    where = rng.randrange(min(len(content), 3000) if index % 2 else len(content))
    kind = index % 7
    if kind < 3:
        changed[where] ^= 1 << rng.randrange(8)
    elif kind == 3:
        return content[:where]
    elif kind == 4:
        changed[where : where + rng.randrange(1, 9)] = rng.randbytes(4)
    elif kind == 5:
        changed[where : where + 64] = content[:64]
    else:
        return content + rng.randbytes(rng.randrange(1, 100))
    return bytes(changed)


def _rewritten(personal: PersonalFile, change: Callable[[dict[str, torch.Tensor], dict[str, str]], None]) -> bytes:
    """The file of somebody who knows the format, hash included."""
    content = personal.to_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])["__metadata__"]
    state = safetensors.torch.load(content)
    del header["sha256"]
    change(state, header)
    return safetensors.torch.save(state, header | {"sha256": _digest(header, state)})


def _option(name: str, value: object) -> Callable[[dict[str, torch.Tensor], dict[str, str]], None]:
    def change(_: dict[str, torch.Tensor], header: dict[str, str]) -> None:
        for key in ("spec", "full"):
            tree = json.loads(header[key])
            tree["options"][name] = value
            header[key] = json.dumps(tree)

    return change


_DEEP = json.dumps(
    {
        "backbone": "hf/vit",
        "options": {"arguments": {"a": json.loads("[" * 480 + "]" * 480)}, "input_shape": [3, 8, 8], "num_outputs": 4},
    }
)
_HOSTILE = {
    "huge": _option("width", 10**7),
    "endless": _option("widths", [1] * 10**5),
    "negative": _option("width", -4),
    "text": _option("width", "4"),
    "unknown option": _option("os", "rm"),
    "other classes": _option("num_outputs", 5),
    "no network": lambda _, header: header.update(spec=json.dumps({"backbone": "os.system", "options": {}})),
    "deep JSON": lambda _, header: header.update(provenance="[" * 10**5),
    "deep list": lambda _, header: header.update(spec=_DEEP, full=_DEEP),
    "no JSON": lambda _, header: header.update(preprocessing="{"),
    "another full network": lambda _, header: header.update(full=_network().spec.to_json()),
    "NaN": lambda state, _: state["linear.bias"].fill_(float("nan")),
    "negative variance": lambda state, _: state["bn1.running_var"].fill_(-1),
    "channel that is not there": lambda state, _: next(v for k, v in state.items() if k.endswith("index")).add_(99),
    "other type": lambda state, _: state.update({"linear.bias": state["linear.bias"].double()}),
    "tensor more": lambda state, _: state.update(more=torch.zeros(3)),
    "tensor less": lambda state, _: state.pop("linear.bias"),
    "long header": lambda _, header: header.update(provenance=json.dumps({"x": "y" * (1 << 21)})),
}


@pytest.mark.parametrize("kind", _HOSTILE)
def test_a_hostile_file_with_a_right_hash_is_refused(kind: str, personal: PersonalFile, tmp_path: Path):
    path = tmp_path / "p.safetensors"
    path.write_bytes(_rewritten(personal, _HOSTILE[kind]))
    with pytest.raises(UserError, match=r"p\.safetensors(: its network has '(width|os)' = | is damaged)"):
        read_personal(path)


_OWN_NET = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self, num_classes, in_channels):
        super().__init__(nn.Conv2d(in_channels, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, num_classes))
"""


def test_a_file_does_not_choose_which_code_is_run(tmp_path: Path):
    """A network of the user's own is built only where its code has been loaded by the user."""
    place = tmp_path / "nets.py"
    place.write_text(_OWN_NET)
    full = adapt_foreign(f"{place}:Net", {}, (1, 8, 8), 4)
    own = slice_network(full, [torch.arange(8) < 3]).eval()
    about = {"preprocessing": _preprocessing((1, 8, 8)), "base_sha256": base_sha256(full), "provenance": {}}
    file = PersonalFile(network=own, full=full.spec, **about)  # type: ignore[arg-type]
    file.write(tmp_path / "personal.safetensors")
    load = (
        "import sys, torch, pppl\n"
        "from pppl.deploy import read_personal\n"
        "try: read_personal(sys.argv[1])\n"
        "except pppl.UserError as error: print(error)\n"
        "pppl.load_plugins(sys.argv[2:])\n"
        "print(read_personal(sys.argv[1]).network(torch.ones(1, 1, 8, 8)).tolist())"
    )
    run = [sys.executable, "-c", load, str(tmp_path / "personal.safetensors"), str(place)]
    refused, read = subprocess.run(run, capture_output=True, text=True, check=True).stdout.splitlines()
    assert f"personal.safetensors: its network Net is code of {place}, which a file does not choose" in refused
    torch.testing.assert_close(torch.tensor(json.loads(read)), own(torch.ones(1, 1, 8, 8)).detach())


def test_a_file_of_a_class_is_read_where_its_python_file_lies_elsewhere(tmp_path: Path):
    for folder in ("there", "here"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "moved.py").write_text(_OWN_NET)
    full = adapt_foreign(f"{tmp_path}/there/moved.py:Net", {}, (1, 8, 8), 4)
    own = slice_network(full, [torch.arange(8) < 3]).eval()
    about = {"preprocessing": _preprocessing((1, 8, 8)), "base_sha256": base_sha256(full), "provenance": {}}
    file = PersonalFile(network=own, full=full.spec, **about)  # type: ignore[arg-type]
    moved = _rewritten(
        file, lambda _, header: header.update({k: v.replace("/there", "/gone") for k, v in header.items()})
    )
    (tmp_path / "personal.safetensors").write_bytes(moved)
    load_plugins([str(tmp_path / "here" / "moved.py")])
    read = read_personal(tmp_path / "personal.safetensors").network
    assert read.spec.backbone == f"{tmp_path}/here/moved.py:Net"
    x = torch.ones(1, 1, 8, 8)
    torch.testing.assert_close(read(x), own(x))
    (tmp_path / "here" / "moved.py").write_text("Net = print")
    load_plugins([str(tmp_path / "here" / "moved.py")])
    with pytest.raises(UserError, match="is builtin_function_or_method, no network"):
        read_personal(tmp_path / "personal.safetensors")


def test_code_of_a_network_is_named_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    place = tmp_path / "named.py"
    place.write_text(_OWN_NET)
    full = adapt_foreign(f"{place}:Net", {}, (1, 8, 8), 4)
    own = slice_network(full, [torch.arange(8) < 3]).eval()
    about = {"preprocessing": _preprocessing((1, 8, 8)), "base_sha256": base_sha256(full), "provenance": {}}
    path = tmp_path / "personal.safetensors"
    PersonalFile(network=own, full=full.spec, **about).write(path)  # type: ignore[arg-type] (keyword arguments)
    np.save(tmp_path / "sample.npy", np.ones((1, 8, 8), np.float32))
    for verb, *rest in (["latency"], ["predict", str(tmp_path / "sample.npy")]):
        monkeypatch.setattr(plugins, "_RUN", {})  # as in another process
        assert main([verb, str(path), *rest]) == 2
        assert f"give `--plugin {place}` (or the path of named.py here)" in capsys.readouterr().err
        assert main([verb, str(path), *rest, "--plugin", str(place)]) == 0
        capsys.readouterr()


def test_a_file_runs_no_command(personal: PersonalFile, tmp_path: Path):
    """That a module is imported by others does not let a file use it."""
    options = {"arguments": {"command": f"touch {tmp_path / 'run'}"}, "input_shape": (3, 8, 8), "num_outputs": 4}
    text = ShapeSpec(backbone="os:system", options=options | {"groups": (), "widths": ()}).to_json()
    path = tmp_path / "p.safetensors"
    path.write_bytes(_rewritten(personal, lambda _, header: header.update(spec=text, full=text)))
    meta = {"preprocessing": json.loads(personal.preprocessing.to_json()), "raw_audio": False}
    meta |= {"spec": json.loads(text), "full": json.loads(text)}
    (tmp_path / "p.onnx").write_bytes(to_onnx(Deployed(personal.network, personal.preprocessing), meta))
    for read in (lambda: read_personal(path), lambda: latency([tmp_path / "p.onnx"], runs=1)):
        with pytest.raises(UserError, match=r"p\.\w+: its network system is code of os, which a file does not choose"):
            read()
    assert not (tmp_path / "run").exists()


def test_what_is_not_there_or_something_else_is_told(tmp_path: Path):
    for read in (read_personal, Thin.read, open_onnx):
        with pytest.raises(UserError, match=r"none\.x"):
            read(tmp_path / "none.x")
        (tmp_path / "other.x").write_bytes(b"hello" * 50)
        with pytest.raises(UserError, match=r"other\.x"):
            read(tmp_path / "other.x")
