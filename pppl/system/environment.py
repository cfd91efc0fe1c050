"""Variables that launchers of other programs leave behind, and that libraries here would heed."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

# Slurm, MPI, LSF, torchrun and Lightning, which say how many processes train together and which of them this is.
_PREFIXES = ("SLURM_", "OMPI_", "PMI_", "PMIX_", "MV2_", "MPI_", "HYDRA_", "JSM_", "LSB_", "TORCHELASTIC_", "PET_")
_PREFIXES += ("PL_TRAINER_", "ROLE_", "MASTER_")
_NAMES = {"RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE"}
_NAMES |= {"STANDALONE_PORT"}
_KEPT = ("SLURM_JOB_ID", "SLURM_JOBID", "SLURM_ARRAY_")  # the name of a job, which a requeue asks for
_SIZES = ("WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "JSM_NAMESPACE_SIZE")


@contextmanager
def without_launcher() -> Iterator[Mapping[str, str]]:
    """While open, this process has no variable that makes it one of several; gives those that it had.

    A training here is one process on one device, wherever it was started: in a job of a cluster, by `torchrun`, in a
    notebook that such a job serves.
    """
    foreign = [name for name in os.environ if name in _NAMES or name.startswith(_PREFIXES)]
    with without_variables(*(name for name in foreign if not name.startswith(_KEPT))) as hidden:
        yield hidden


@contextmanager
def without_variables(*names: str) -> Iterator[Mapping[str, str]]:
    """While open, this process has none of these variables; gives those that it had."""
    hidden = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield hidden
    finally:
        os.environ.update({name: value for name, value in hidden.items() if name not in os.environ})


def launcher_size(variables: Mapping[str, str]) -> str:
    """The first variable, as `NAME=VALUE`, by which several processes were to train together; empty without one."""
    several = (name for name in _SIZES if variables.get(name, "1") not in ("", "0", "1"))
    return next((f"{name}={variables[name]}" for name in several), "")
