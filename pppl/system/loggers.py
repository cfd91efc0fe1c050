"""Where runs are tracked: the settings, and Lightning's loggers by name."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .errors import UserError, unknown


@dataclass(frozen=True, kw_only=True)
class TrackingSettings:
    """Where the curves and results of runs go besides the results folder. No result depends on it.

    - `mode`: of W&B. `offline`: runs are kept in the results folder, and `wandb sync` uploads them; `online`: they are
      uploaded while they run; `disabled`: there are none. The variable `WANDB_MODE` overrules it.
    - `loggers`: `wandb`, and Lightning's `csv`, `tensorboard` and `mlflow`, whose files are in the results folder.
    """

    mode: Literal["offline", "online", "disabled"] = "offline"
    loggers: tuple[str, ...] = ("wandb",)

    def __post_init__(self) -> None:
        known = ("wandb", *_OPEN)
        for name in self.loggers:
            if name not in known:
                raise unknown("logger in tracking.loggers", name, known)


def open_loggers(names: Sequence[str], folder: Path, *, group: str, name: str) -> list[Any]:
    """Return the loggers of a run by the names in `tracking.loggers`; `wandb` is none of Lightning's here.

    Raise `UserError` if the package of a logger is not installed.

    **Arguments:**

    - `folder`: of the results: files are in `csv`, `tensorboard` and `mlflow.db` there. `MLFLOW_TRACKING_URI` names
      another place for the last.
    - `group`, `name`: what the run belongs to, such as the experiment, and its own name.
    """
    return [_OPEN[each](folder, group, name) for each in names if each in _OPEN]


def _csv(folder: Path, group: str, name: str) -> Any:
    from pytorch_lightning.loggers import CSVLogger

    return CSVLogger(folder / "csv", name=group, version=name)


def _tensorboard(folder: Path, group: str, name: str) -> Any:
    from pytorch_lightning.loggers import TensorBoardLogger

    return _made("tensorboard", lambda: TensorBoardLogger(folder / "tensorboard", name=group, version=name))


def _mlflow(folder: Path, group: str, name: str) -> Any:
    from pytorch_lightning.loggers import MLFlowLogger

    uri = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{folder.absolute()}/mlflow.db")
    return _made("mlflow", lambda: MLFlowLogger(group, run_name=name, tracking_uri=uri))


def _made(package: str, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except ModuleNotFoundError as error:
        raise UserError(f"tracking.loggers names {package}, which is not installed: pip install {package}") from error


_OPEN: dict[str, Callable[[Path, str, str], Any]] = {"csv": _csv, "tensorboard": _tensorboard, "mlflow": _mlflow}
