"""LightningModules, their callbacks, and fine-tuning."""

from .finetune import finetune
from .fit import fit
from .modules import GlobalModule, PPPModule

__all__ = ["GlobalModule", "PPPModule", "finetune", "fit"]
