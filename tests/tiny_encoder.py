"""A BERT of two layers with random weights and the tokenizer that is at hand, and tasks that it can learn."""

import csv
from pathlib import Path

import torch


def make_encoder(folder: Path) -> str:
    import transformers

    from pppl.text.encoder import _folder

    torch.manual_seed(0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(_folder("minilm-l6"))
    tokenizer.save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    transformers.BertModel(config).save_pretrained(folder)
    return str(folder)


WORDS = ("good", "fine", "nice"), ("bad", "poor", "sad")


def write_task(path: Path, labels: int = 2, rows: int = 60) -> str:
    """A CSV task: which list of words a sentence takes from, or in which place its word stands there."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for i in range(rows):
            word = WORDS[i % 2][i % 3]
            writer.writerow([f"it is {word} " + "really " * (i % 5), i % labels])
    return str(path)
