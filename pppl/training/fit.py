"""One training: a module and its data in, the weights of the last epoch (or their average) out."""

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
    """Hands every epoch's metrics to a function."""

    def __init__(self, log: EpochLog):
        self.log_epoch = log

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
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
    """Trains on the training split and keeps the last epoch, or the last average of the weights.

    No epoch is chosen by validation: where many are equally good the first of them would be kept, so that what is
    compared would not have been trained alike.

    **Arguments:**

    - `make_module`: called after seeding, so that the initial weights follow from `seed`.
    - `folder`: receives `metrics.csv`.
    - `log_epoch`: called with each epoch's metrics and number.
    - `progress`: whether to show a bar.
    - `watching`: more callbacks, which may end the training with an error of their own.

    Where `training.devices` are several, this process trains on the first of them, and writes and logs alone.

    **Returns:** the module, on the CPU in evaluation mode, and the last epoch's metrics.

    Raises `UserError` where there are fewer devices, or a process of another device is killed.
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
    callbacks = [*watching]  # first, so that they see the average that is validated
    callbacks += _averaging(module)
    callbacks += [_LogEpochs(log_epoch)] if log_epoch else []
    callbacks += [TQDMProgressBar(leave=False)] if progress else []
    options = {"callbacks": callbacks, "logger": CSVLogger(folder, name="", version=""), "log_every_n_steps": 1}
    with other_ranks(device_count(module.training_config.devices), _take_part, module, dataset, seed) as place:
        metrics = _run(place, module, dataset, seed, enable_progress_bar=progress, **options)
    use_channels_last(module.network, torch.contiguous_format)
    return module.cpu().eval(), {**metrics, "epoch": module.training_config.epochs - 1.0}


def _take_part(place: Place, module: GlobalModule, dataset: IdentityDataset, seed: int) -> None:
    """Train as one of the ranks that write and log nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rank 0 has the same
        _run(place, module, dataset, seed, callbacks=_averaging(module), logger=False, enable_progress_bar=False)


def _averaging(module: GlobalModule) -> list[Callback]:
    """Return what keeps the average of the weights, and puts it into the module at the end."""
    decay = module.training_config.averaging
    return [EMAWeightAveraging(decay=decay)] if decay else []


def _run(place: Place, module: GlobalModule, dataset: IdentityDataset, seed: int, **options: Any) -> dict[str, float]:
    """Train the module and return the last epoch's metrics."""
    options |= {"max_epochs": module.training_config.epochs, "precision": module.training_precision}
    options |= {"accelerator": device_kind(), "enable_checkpointing": False, "num_sanity_val_steps": 0}
    # Lightning would set the seed anew where there are several processes.
    with without_variables("PL_GLOBAL_SEED"), trainer(place, **options) as training:
        training.fit(module, datamodule=module.data(dataset, seed))
    return {name: float(value) for name, value in training.callback_metrics.items()}
