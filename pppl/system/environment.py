"""Environment variables that launchers of other programs leave behind and that libraries used here would obey."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

# Variables of Slurm, MPI, LSF, torchrun and Lightning: how many processes train together, and which of them this is.
_PREFIXES = ("SLURM_", "OMPI_", "PMI_", "PMIX_", "MV2_", "MPI_", "HYDRA_", "JSM_", "LSB_", "TORCHELASTIC_", "PET_")
_PREFIXES += ("PL_TRAINER_", "ROLE_", "MASTER_")
_NAMES = {"RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE"}
_NAMES |= {"STANDALONE_PORT"}
_KEPT = ("SLURM_JOB_ID", "SLURM_JOBID", "SLURM_ARRAY_")  # the job's ID, which is needed to requeue it
_SIZES = ("WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "JSM_NAMESPACE_SIZE")


@contextmanager
def without_launcher() -> Iterator[Mapping[str, str]]:
    """Remove the variables that make this process one of several, until the block ends; yield the removed ones.

    A training here has the devices that its settings name, wherever it was started: in a job of a cluster, by
    `torchrun`, or in a notebook that runs in such a job.

    ```python
    with without_launcher() as hidden:
        print(launcher_size(hidden))  # for example SLURM_NTASKS=4
    ```
    """
    foreign = [name for name in os.environ if name in _NAMES or name.startswith(_PREFIXES)]
    with without_variables(*(name for name in foreign if not name.startswith(_KEPT))) as hidden:
        yield hidden


@contextmanager
def without_variables(*names: str) -> Iterator[Mapping[str, str]]:
    """Remove these variables from the environment until the block ends; yield the removed ones.

    >>> with without_variables("HOME"):
    ...     "HOME" in os.environ
    False
    """
    hidden = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield hidden
    finally:
        os.environ.update({name: value for name, value in hidden.items() if name not in os.environ})


def launcher_size(variables: Mapping[str, str]) -> str:
    """Return the first variable, as `NAME=VALUE`, that asks for several processes; empty if none does.

    >>> launcher_size({"RANK": "0", "WORLD_SIZE": "4"})
    'WORLD_SIZE=4'
    """
    several = (name for name in _SIZES if variables.get(name, "1") not in ("", "0", "1"))
    return next((f"{name}={variables[name]}" for name in several), "")
