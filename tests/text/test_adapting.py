"""Every way to adapt an encoder, on a tiny BERT."""

import os
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tiny_encoder import WORDS, make_encoder

from pppl.errors import UserError
from pppl.text.encoder import TextClassifier, Tokens
from pppl.text.methods import METHODS, Setting
from pppl.text.tasks import Examples
from pppl.training import outputs
from pppl.training.adapters import Adapter

pytest.importorskip("transformers", reason="the extra `text` is not installed")
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_encoder(tmp_path_factory.mktemp("tiny-bert"))


@pytest.fixture(scope="module")
def examples() -> Examples:
    texts = [(f"it is {WORDS[i % 2][i % 3]} " + "really " * (i % 5),) for i in range(48)]
    return Examples(texts=texts, targets=torch.arange(48) % 2)


def test_batches_are_of_similar_length_and_hold_everything_once(encoder: str, examples: Examples):
    tokens = Tokens(encoder, examples)
    first, again = (list(tokens.batches(8, seed=3)) for _ in range(2))
    assert all(torch.equal(a[1], b[1]) for a, b in zip(first, again, strict=True))
    assert [tuple(b[1]) for b in first] != [tuple(b[1]) for b in tokens.batches(8, seed=4)]
    lengths = [inputs["attention_mask"].sum(1) for inputs, _ in first]
    assert sorted(torch.cat(lengths).tolist()) == sorted(tokens.lengths.tolist())
    assert max(int(length.max() - length.min()) for length in lengths) <= 2
    for inputs, _ in first:
        assert inputs["input_ids"].shape[1] == inputs["attention_mask"].sum(1).max(), "padded to the longest only"
    pair = Tokens(encoder, Examples(texts=[("one", "two words"), ("three", "four")], targets=torch.zeros(2)))
    (inputs, _), *_ = pair.batches(2)
    assert inputs["token_type_ids"].max() == 1, "the second sentence is told apart"


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_within_its_rate(method: str, encoder: str, examples: Examples):
    torch.manual_seed(0)
    network, tokens = TextClassifier(encoder, 2), Tokens(encoder, examples)
    start = {name: value.clone() for name, value in network.state_dict().items()}
    total = sum(parameter.numel() for parameter in network.encoder.parameters())
    batches = (batch for epoch in count() for batch in tokens.batches(16, seed=epoch))

    def train(adapter: Adapter, steps: int) -> None:
        for step in range(steps):
            inputs, targets = next(batches)
            adapter.sample()
            F.cross_entropy(network(inputs), targets).backward()
            adapter.step(1 - step / steps)

    def each_gradient(after: Callable[[], None]) -> None:
        for inputs, targets in tokens.batches(16, seed=0):
            F.cross_entropy(network(inputs), targets).backward()
            after()

    rates = {"learning_rate": 2e-2, "head_rate": 1e-2, "rate": 0.004}
    setting = Setting(**rates, seed=0, compiled=False, steps=75, train=train, each_gradient=each_gradient)
    adapted = METHODS[method].adapt(network, setting)
    logits, targets = outputs(network, tokens.batches(16), adapted.adapter)
    assert (logits.argmax(1) == targets).float().mean() > 0.85
    head = 16 * 2 + 2
    limit = {"full": total, "last_layer": 2300, "bias_norm": 1000}.get(method, round(0.004 * total))
    assert head < adapted.values <= limit + head
    assert adapted.bytes >= 4 * adapted.values
    if method in ("diff", "diff_elementwise", "gradient_mask", "fisher_mask", "magnitude_mask"):
        state = network.state_dict()
        changed = sum(int((state[name] != value).sum()) for name, value in start.items() if name.startswith("encoder."))
        assert 0 < changed <= round(0.004 * total)
        assert adapted.values == round(0.004 * total) + head
    if method in ("lora", "shira"):
        with pytest.raises(UserError, match=r"rank 1 has .* values, more than a rate of 1e-06 allows"):
            METHODS[method].adapt(TextClassifier(encoder, 2), replace(setting, rate=1e-6))


def test_an_encoder_that_is_not_there(tmp_path: Path):
    with pytest.raises(UserError, match=r"cannot load encoder .*name a folder, a model of the hub or minilm-l6"):
        TextClassifier(str(tmp_path), 2)
    make_encoder(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-50])
    with pytest.raises(UserError, match=r"cannot load encoder .*ncomplete"):
        TextClassifier(str(tmp_path), 2)


def test_a_rank_that_no_layer_has(encoder: str):
    setting = Setting(
        **{"learning_rate": 1e-3, "head_rate": 1e-3, "rate": 0.9},
        seed=0,
        compiled=False,
        steps=0,
        train=lambda adapter, steps: None,
        each_gradient=lambda after: None,
    )
    with pytest.raises(UserError, match=r"ShiraConfig of rank \d+: "):
        METHODS["shira"].adapt(TextClassifier(encoder, 2), setting)
