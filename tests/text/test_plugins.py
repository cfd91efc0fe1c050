"""A way to adapt an encoder that stands in a file of the user's."""

from pathlib import Path

import pandas as pd
import pytest
from tiny_encoder import make_encoder, write_task

from pppl import TextExperiment, compare_tasks

pytest.importorskip("transformers", reason="the extra `text` is not installed")

_TEXT = """from pppl import register_text_method
from pppl.text import train_chosen

@register_text_method("embeddings", learning_rate=1e-3)
def embeddings(network, setting):
    return train_chosen(network, setting, lambda name: name.startswith("embeddings."))
"""


@pytest.mark.slow
@pytest.mark.usefixtures("sketched")
def test_a_method_of_a_plugin_is_compared_by_two_workers_and_stale_when_it_is_edited(tmp_path: Path):
    plugin, out = tmp_path / "mine.py", tmp_path / "out"
    plugin.write_text(_TEXT)
    encoder, task = make_encoder(tmp_path / "encoder"), write_task(tmp_path / "two.csv")
    experiment = TextExperiment(encoder=encoder, tasks=(task,), batch_size=8, search=(1.0,), seeds=(0,), epochs=2)
    experiment = experiment.replace(plugins=[str(plugin)], methods=["bias_norm", "embeddings"])
    compare_tasks(experiment, out, workers=2)
    values = pd.read_csv(out / "table.csv.gz").set_index("method")["values"]
    assert values["embeddings"] > values["bias_norm"]
    before = (out / "journal.jsonl").read_text()
    plugin.write_text(_TEXT.replace('"embeddings.")', '"embeddings.word")'))
    compare_tasks(experiment, out, workers=2)
    added = (out / "journal.jsonl").read_text().removeprefix(before)
    assert [line.count('"method": "embeddings"') for line in added.split("\n") if line] == [1]
    assert pd.read_csv(out / "table.csv.gz").set_index("method")["values"]["embeddings"] < values["embeddings"]
