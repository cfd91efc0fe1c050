"""Training of a module on a data set, to the weights of the last epoch or their average."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EMAWeightAveraging, TQDMProgressBar
from pytorch_lightning.loggers import CSVLogger

from ..data import IdentityDataset
from ..system.environment import without_variables
from .lightning import device_count, device_kind, seed_inside, trainer
from .modules import GlobalModule, use_channels_last
from .ranks import Place, other_ranks

EpochLog = Callable[[Mapping[str, float], int], None]


class _LogEpochs(Callback):
    """A callback that passes every epoch's metrics to a function."""

    def __init__(self, log: EpochLog):
        self.log_epoch = log

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Call the function with this epoch's metrics and number."""
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.log_epoch(values, trainer.current_epoch)


def fit(
    make_module: Callable[[], GlobalModule],
    dataset: IdentityDataset,
    *,
    seed: int,
    folder: Path,
    log_epoch: EpochLog | None = None,
    progress: bool = False,
    watching: Sequence[Callback] = (),
) -> tuple[GlobalModule, dict[str, float]]:
    """Train a module on the training split; return it with the weights of the last epoch, or their average.

    No epoch is chosen by validation. If many epochs are equally good, the first of them would be kept, and the compared
    networks would have been trained for different times.

    If `training.devices` is more than one, this process trains on the first device, and it alone writes and logs.

    **Arguments:**

    - `make_module`: called after seeding, so that the initial weights follow from `seed`.
    - `folder`: receives `metrics.csv`.
    - `log_epoch`: called with each epoch's metrics and number.
    - `progress`: whether to show a progress bar.
    - `watching`: more callbacks, which may end the training with an error of their own.

    **Returns:** the module, on the CPU in evaluation mode, and the last epoch's metrics.

    Raise `UserError` if there are fewer devices, or if a process of another device is killed.
    """
    with seed_inside(seed):
        return _fit(make_module, dataset, seed, folder, log_epoch, progress, watching)


def _fit(
    make_module: Callable[[], GlobalModule],
    dataset: IdentityDataset,
    seed: int,
    folder: Path,
    log_epoch: EpochLog | None,
    progress: bool,
    watching: Sequence[Callback],
) -> tuple[GlobalModule, dict[str, float]]:
    module = make_module()
    callbacks = [*watching]  # first, so that they read the average that is validated
    callbacks += _averaging(module)
    callbacks += [_LogEpochs(log_epoch)] if log_epoch else []
    callbacks += [TQDMProgressBar(leave=False)] if progress else []
    options = {"callbacks": callbacks, "logger": CSVLogger(folder, name="", version=""), "log_every_n_steps": 1}
    with other_ranks(device_count(module.training_config.devices), _take_part, module, dataset, seed) as place:
        metrics = _run(place, module, dataset, seed, enable_progress_bar=progress, **options)
    use_channels_last(module.network, torch.contiguous_format)
    return module.cpu().eval(), {**metrics, "epoch": module.training_config.epochs - 1.0}


def _take_part(place: Place, module: GlobalModule, dataset: IdentityDataset, seed: int) -> None:
    """Train as a rank other than 0, which writes and logs nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rank 0 shows the same warnings
        _run(place, module, dataset, seed, callbacks=_averaging(module), logger=False, enable_progress_bar=False)


def _averaging(module: GlobalModule) -> list[Callback]:
    """Return the callback that averages the weights and puts the average into the module at the end, if any."""
    decay = module.training_config.averaging
    return [EMAWeightAveraging(decay=decay)] if decay else []


def _run(place: Place, module: GlobalModule, dataset: IdentityDataset, seed: int, **options: Any) -> dict[str, float]:
    """Train the module and return the last epoch's metrics."""
    options |= {"max_epochs": module.training_config.epochs, "precision": module.training_precision}
    options |= {"accelerator": device_kind(), "enable_checkpointing": False, "num_sanity_val_steps": 0}
    # Without this, Lightning would set the seed again if there are several processes.
    with without_variables("PL_GLOBAL_SEED"), trainer(place, **options) as training:
        training.fit(module, datamodule=module.data(dataset, seed))
    return {name: float(value) for name, value in training.callback_metrics.items()}
