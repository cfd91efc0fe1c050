"""CLINC150 as a data set of persons, who are users of some intents, and MiniLM as a network for it."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pppl import IdentityDataset, register_source
from pppl.text import TextClassifier, Tokens, load_task

_ENCODER, _TOKENS = "minilm-l6", 16


@register_source(
    "clinc150_tokens",
    file="clinc150",
    samples=22_500,
    size="2 MB",
    identities="none",
    licence="CC BY 3.0 (Larson et al. 2019)",
    origin="https://github.com/clinc/oos-eval",
)
def load(folder: Path) -> IdentityDataset:
    """Read the sentences of 150 intents as token ids `(N, 1, 16)`, padded with zeros, in their official splits.

    One sentence in ten is longer and loses its end.
    """
    task = load_task("clinc150")
    parts = [task.train, task.validation, task.test]
    x, y = zip(*(_ids(Tokens(_ENCODER, part, most=_TOKENS)) for part in parts), strict=True)
    return IdentityDataset(
        name="clinc150_tokens",
        x=torch.cat(x),
        y=torch.cat(y),
        classes=task.labels,
        split=np.repeat(np.arange(3), [len(part) for part in parts]),
        standardized=True,
    )


def _ids(tokens: Tokens) -> tuple[Tensor, Tensor]:
    """Return token ids, `(N, 1, 16)`, and targets, `(N,)`."""
    ids = torch.zeros(len(tokens.rows), 1, _TOKENS)
    for row, encoded in zip(ids, tokens.rows, strict=True):
        row[0, : len(encoded["input_ids"])] = torch.tensor(encoded["input_ids"], dtype=torch.float32)
    return ids, tokens.targets


class Intents(nn.Module):
    """MiniLM with its weights, the mean over tokens, and a linear head."""

    def __init__(self, num_outputs: int):
        super().__init__()
        self.classifier = TextClassifier(_ENCODER, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, `(B, num_outputs)`, of token ids `(B, 1, T)`."""
        ids = x[:, 0].long()
        seen = (ids > 0).long()
        seen[:, 0] = 1
        return self.classifier({"input_ids": ids, "attention_mask": seen})
