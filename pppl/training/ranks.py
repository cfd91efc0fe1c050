"""The processes of one training on several devices: this process is rank 0, which alone writes and logs.

Lightning would start the program's main module again for each device, or fork this process. Neither works in a worker
process, in a notebook or with a GPU. Therefore the other ranks are worker processes of this package, and Lightning is
told that its processes run already.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import cloudpickle
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment, find_free_network_port
from pytorch_lightning.strategies import DDPStrategy

from ..system.plugins import load_plugins, plugin_files
from ..system.processes import Worker
from .whole_batch import WholeBatch


@dataclass(frozen=True, kw_only=True)
class Place:
    """The place of a process in a training: its rank, the number of processes, and the port at which they connect."""

    rank: int = 0
    count: int = 1
    port: int = 0

    def options(self) -> dict[str, Any]:
        """Return the arguments of Lightning's trainer that describe the processes."""
        options: dict[str, Any] = {"devices": self.count, "num_nodes": 1}
        # Without a named environment, Lightning looks for one, and starts MPI if it is installed.
        if self.count == 1:
            return options | {"plugins": [LightningEnvironment()]}
        # All processes have the same batch statistics, so buffers need not be sent.
        return options | {
            "plugins": [_RunningProcesses(self)],
            "strategy": _WholeBatchStrategy(broadcast_buffers=False),
        }


class _RunningProcesses(LightningEnvironment):
    """An environment whose processes run already."""

    def __init__(self, place: Place):
        super().__init__()
        self._place = place

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return "127.0.0.1"

    @property
    def main_port(self) -> int:
        return self._place.port

    def local_rank(self) -> int:
        return self._place.rank


class _WholeBatchStrategy(DDPStrategy):
    """A strategy that trains as one process would, up to rounding."""

    def _configure_launcher(self) -> None:
        """Set no launcher of processes, because Lightning would refuse it in a notebook."""

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        with self._whole_batch(*args):
            return super().training_step(*args, **kwargs)

    def validation_step(self, *args: Any, **kwargs: Any) -> Any:
        with self._whole_batch(*args):
            return super().validation_step(*args, **kwargs)

    def _whole_batch(self, batch: Sequence[torch.Tensor], *_: Any) -> WholeBatch:
        sizes = torch.zeros(self.world_size, dtype=torch.int64, device=self.root_device)
        sizes[self.global_rank] = len(batch[0])
        torch.distributed.all_reduce(sizes)
        return WholeBatch(self.global_rank, sizes.tolist())


@contextmanager
def other_ranks(count: int, train: Callable[..., None], *arguments: Any) -> Iterator[Place]:
    """Run `train(place, *arguments)` in `count - 1` more processes while the block runs; yield this process's place.

    Each of them starts with this process's state of torch's random numbers.

    Raise `UserError` if one of them cannot start or is killed. An error in one of them is raised here, too.
    """
    if count == 1:
        yield Place()
        return
    port = find_free_network_port()
    packed = cloudpickle.dumps((train, arguments, torch.get_rng_state(), torch.initial_seed(), torch.get_num_threads()))
    workers = [Worker(__name__) for _ in range(1, count)]
    finished = False
    try:
        for worker in workers:
            worker.give(_receive, (plugin_files(), packed))
        for worker in workers:
            worker.answer()
        for rank, worker in enumerate(workers, start=1):
            worker.give(_take_part, Place(rank=rank, count=count, port=port))
        try:
            yield Place(count=count, port=port)
        except RuntimeError as error:  # torch raises it when it has lost a process
            _raise_failure(workers, error)
            raise
        for worker in workers:
            worker.answer()
        finished = True
    finally:
        for worker in workers:
            worker.dismiss(at_once=not finished)
        for worker in workers:
            worker.process.join()


def _raise_failure(workers: list[Worker], error: RuntimeError) -> None:
    """Raise the error that ended another rank, if one has ended."""
    for worker in workers:
        if worker.pipe.poll(_PATIENCE):
            try:
                worker.answer()
            except RuntimeError:
                continue  # this rank has lost a process, too
            except Exception as failure:
                raise failure from error


_PATIENCE = 1.0  # seconds to wait for the answer of a process that is ending
_received: list[Any] = []


def _receive(task: tuple[list[str], bytes]) -> None:
    """Load plugins and unpack the function and arguments that `other_ranks` sent, which may need plugins."""
    files, packed = task
    load_plugins(files)
    _received[:] = cast(tuple[Any, ...], cloudpickle.loads(packed))


def _take_part(place: Place) -> None:
    """Train as the rank of `place`, with the state of random numbers that was received."""
    train, arguments, state, seed, threads = _received
    torch.set_num_threads(threads)
    torch.manual_seed(seed)  # sets the seeds of GPUs, too
    torch.set_rng_state(state)
    train(place, *arguments)
