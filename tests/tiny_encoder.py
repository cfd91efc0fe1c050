"""Text encoders of two layers with random weights and the installed tokenizer, and tasks that they can learn."""

import csv
from pathlib import Path

import torch

_SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
# Families of encoders: their size options, and whether they distinguish the second text of a pair (token types).
FAMILIES = {
    "Bert": (_SIZES, True),
    "DistilBert": ({"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}, False),
    "DebertaV2": (_SIZES, True),
    "ModernBert": (_SIZES | {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}, False),
}


def make_encoder(folder: Path, family: str = "Bert", dtype: torch.dtype = torch.float32) -> str:
    """Save a tiny encoder with its tokenizer in a folder and return the folder's path."""
    import transformers

    from pppl.text.encoder import _folder

    torch.manual_seed(0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(_folder("minilm-l6"))
    sizes, pairs = FAMILIES[family]
    if not pairs:
        tokenizer.model_input_names = ["input_ids", "attention_mask"]
    tokenizer.save_pretrained(folder)
    config = getattr(transformers, f"{family}Config")(vocab_size=len(tokenizer), **sizes)
    getattr(transformers, f"{family}Model")(config).to(dtype).save_pretrained(folder)
    return str(folder)


WORDS = ("good", "fine", "nice"), ("bad", "poor", "sad")


def write_task(path: Path, labels: int = 2, rows: int = 60) -> str:
    """Write a CSV file of a task and return its path.

    With two labels, the task is to tell from which list of words a sentence takes its word; with three, at which place
    in its list the word stands.
    """
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for i in range(rows):
            word = WORDS[i % 2][i % 3]
            writer.writerow([f"it is {word} " + "really " * (i % 5), i % labels])
    return str(path)
