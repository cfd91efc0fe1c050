"""Trains a gated network in one or two processes and saves prototypes: `python ddp_script.py PROCESSES FOLDER`."""

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor

from pppl import Experiment
from pppl.backbones import build, spec_for
from pppl.data import load_dataset
from pppl.data.datamodule import InMemoryData
from pppl.gating import GatedNetwork, prototype
from pppl.training import PPPModule


class Shared(PPPModule):
    """Gates are sampled with noise that is drawn for the whole batch, and nothing uses batch statistics, which are each
    process's own; the losses stay as they are.
    """

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        network = cast(GatedNetwork, self.network).eval()
        network.training = True  # samples its gates
        network._noise = self._noise  # type: ignore[method-assign]
        return super().training_step(batch, batch_idx)

    def _noise(self, x: Tensor) -> Sequence[Tensor]:
        widths = cast(GatedNetwork, self.network).backbone.widths
        generator = torch.Generator().manual_seed(self.global_step)
        every = torch.rand(len(x) * self.trainer.world_size, sum(widths), generator=generator, dtype=x.dtype).logit()
        return every[self.trainer.global_rank * len(x) :][: len(x)].split(widths, dim=1)

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def main(processes: int, folder: Path) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    strong = {"ppp.prototype_weight": 3.0, "ppp.prototype_scale": 100.0, "ppp.target_weight": 3.0}
    experiment = Experiment().replace(**{**strong, "training.batch_size": 64})
    dataset = load_dataset("digits")
    pl.seed_everything(0, verbose=False)
    backbone = build(spec_for("convnet", {"widths": [6, 8]}, dataset.input_shape, 10))
    module = Shared(backbone, experiment.training, experiment.ppp).double()
    for gate in module.network.gates:  # a fresh gate hardly depends on its input, and would hardly learn in an epoch
        torch.nn.init.normal_(gate.logits.weight, std=2.0)  # type: ignore[union-attr,arg-type]
    before = torch.cat(prototype(module.network, dataset.inputs(dataset.rows(2)[:50]).double()))
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        precision="64-true",  # so that nothing but the order of sums can differ, and that not visibly
        devices=processes,
        strategy="ddp_spawn" if processes > 1 else "auto",
        default_root_dir=folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, datamodule=InMemoryData(dataset, experiment.training.batch_size, seed=0))
    after = torch.cat(prototype(module.network, dataset.inputs(dataset.rows(2)[:50]).double()))
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("train_")}
    torch.save({"before": before, "after": after, "metrics": metrics}, folder / f"{processes}.pt")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
