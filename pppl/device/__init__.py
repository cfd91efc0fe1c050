"""From a trained global network to a person's device: personalizing, predicting, timing."""

from .latency import latency
from .limit import Limit
from .personalize import Wish, personalize
from .predict import Prediction, predict
from .report import as_text, latency_as_text

__all__ = ["Limit", "Prediction", "Wish", "as_text", "latency", "latency_as_text", "personalize", "predict"]
