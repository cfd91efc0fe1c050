"""One training: a module and its data in, the weights of the last epoch (or their average) out."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import CSVLogger

from ..data import IdentityDataset
from .lightning import device_kind, seed_inside, trainer
from .modules import GlobalModule, use_channels_last

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
    - `folder`: receives `metrics.csv` and the checkpoint.
    - `log_epoch`: called with each epoch's metrics and number.
    - `progress`: whether to show a bar.
    - `watching`: more callbacks, which may end the training with an error of their own.

    **Returns:** the module, on the CPU in evaluation mode, and the last epoch's metrics.
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
    averaging = module.training_config.averaging
    kept = ModelCheckpoint(folder, filename="kept", every_n_epochs=module.training_config.epochs)  # the last one
    history: list[dict[str, float]] = []
    callbacks = [*watching]  # first, so that they see the average that is validated
    callbacks += [EMAWeightAveraging(decay=averaging)] if averaging else []
    callbacks += [kept, _LogEpochs(lambda values, _: history.append(dict(values)))]
    callbacks += [_LogEpochs(log_epoch)] if log_epoch else []
    callbacks += [TQDMProgressBar(leave=False)] if progress else []
    config = module.training_config
    options = {"max_epochs": config.epochs, "accelerator": device_kind(), "precision": module.training_precision}
    options |= {"logger": CSVLogger(folder, name="", version=""), "callbacks": callbacks, "log_every_n_steps": 1}
    with trainer(**options, enable_progress_bar=progress, num_sanity_val_steps=0) as training:
        training.fit(module, datamodule=module.data(dataset, seed))
    checkpoint = torch.load(kept.best_model_path, map_location="cpu", weights_only=True)
    module.load_state_dict(checkpoint["state_dict"])
    use_channels_last(module.network, torch.contiguous_format)
    return module.cpu().eval(), {**history[checkpoint["epoch"]], "epoch": float(checkpoint["epoch"])}
