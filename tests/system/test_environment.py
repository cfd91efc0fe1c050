"""What launchers of other programs leave in the environment decides nothing here."""

import os
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from lightning_utilities.core.rank_zero import rank_zero_only

import pppl
from pppl import Experiment
from pppl.backbones import build, spec_for
from pppl.data import IdentityDataset
from pppl.system.environment import launcher_size, without_launcher
from pppl.system.errors import UserError
from pppl.system.files import cache_folder
from pppl.tasks import TASKS
from pppl.training import GlobalModule, fit, train_task
from pppl.training.adapters import Dense

_LAUNCHERS = {
    "slurm": {"SLURM_NTASKS": "3", "SLURM_JOB_ID": "7", "SLURM_PROCID": "2", "SLURM_NTASKS_PER_NODE": "3"},
    "slurm of another size": {"SLURM_NTASKS": "2", "SLURM_JOB_NAME": "jupyterhub", "SLURM_NNODES": "2"},
    "torchrun": {"TORCHELASTIC_RUN_ID": "x", "RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "GROUP_RANK": "0"},
    "torchrun without numbers": {"TORCHELASTIC_RUN_ID": "x"},
    "lsf": {"LSB_JOBID": "1", "LSB_DJOB_RANKFILE": "none", "JSM_NAMESPACE_LOCAL_RANK": "1", "JSM_NAMESPACE_SIZE": "4"}
    | {"JSM_NAMESPACE_RANK": "1"},
    "kubeflow": {"KUBERNETES_PORT": "x", "MASTER_ADDR": "a", "MASTER_PORT": "b", "WORLD_SIZE": "5", "RANK": "4"},
    "lightning": {"PL_TRAINER_MAX_STEPS": "1", "PL_TRAINER_LIMIT_TRAIN_BATCHES": "1", "NODE_RANK": "z"}
    | {"PL_TRAINER_FAST_DEV_RUN": "1", "PL_TRAINER_NUM_NODES": "2", "PL_TRAINER_GRADIENT_CLIP_VAL": "1e-9"},
}


class _Batches:
    def __len__(self) -> int:
        return 3

    def __iter__(self):
        generator = torch.Generator().manual_seed(0)
        return iter([(torch.randn(8, 4, generator=generator), torch.arange(8) % 3) for _ in range(3)])


def _trained() -> torch.Tensor:
    torch.manual_seed(0)
    network = torch.nn.Linear(4, 3)
    train_task(network, F.cross_entropy, Dense([*network.parameters()], learning_rate=0.1), _Batches(), epochs=2)
    return network.weight.detach()


@pytest.mark.parametrize("launcher", _LAUNCHERS)
def test_a_task_is_trained_as_anywhere(launcher: str, monkeypatch: pytest.MonkeyPatch):
    usual = _trained()
    for name, value in _LAUNCHERS[launcher].items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    assert torch.equal(_trained(), usual)
    assert dict(os.environ) == before


@pytest.mark.parametrize("launcher", ["slurm", "torchrun", "lightning"])
def test_a_network_is_trained_as_anywhere(
    launcher: str, tiny: Experiment, digits: IdentityDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def weights(folder: Path) -> torch.Tensor:
        spec = spec_for("convnet", {"widths": (4, 4)}, digits.input_shape, 10)
        module, _ = fit(
            lambda: GlobalModule(build(spec), tiny.training, TASKS["classification"]), digits, seed=0, folder=folder
        )
        assert len((folder / "metrics.csv").read_text().splitlines()) > tiny.training.epochs
        return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])

    usual = weights(tmp_path / "a")
    for name, value in _LAUNCHERS[launcher].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(rank_zero_only, "rank", 1)  # where Lightning was imported with such variables
    assert torch.equal(weights(tmp_path / "b"), usual)
    assert vars(rank_zero_only)["rank"] == 1, "as it was"


def test_what_loads_on_first_use_meets_none_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "imported.py").write_text("import os\nrank = os.environ.get('RANK', 'none')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(pppl._LAZY, "rank", "imported")
    monkeypatch.setenv("RANK", "no number, which Lightning cannot be imported with")
    assert pppl.rank == "none"


def test_what_is_hidden_comes_back_and_a_jobs_name_stays(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("MASTERS", "mine")
    with without_launcher() as hidden:
        assert "PMI_SIZE" not in os.environ
        assert (os.environ["SLURM_JOB_ID"], os.environ["MASTERS"]) == ("7", "mine")
        assert launcher_size(hidden) == "PMI_SIZE=2"
    assert os.environ["PMI_SIZE"] == "2"


@pytest.mark.parametrize(("variable", "name"), [("PPPL_CACHE", "models"), ("PPPL_DATA", "data")])
def test_without_a_home_folder_the_variable_is_named(variable: str, name: str, monkeypatch: pytest.MonkeyPatch):
    def no_user(_: int) -> None:
        raise KeyError

    for each in ("HOME", "XDG_CACHE_HOME", variable):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setattr("pwd.getpwuid", no_user)
    for value in ("", "~/mine"):
        monkeypatch.setenv(variable, value)
        with pytest.raises(UserError, match=f"no home folder.*{variable}"):
            cache_folder(variable, name)
    monkeypatch.setenv(variable, "/somewhere")
    assert cache_folder(variable, name) == Path("/somewhere")
