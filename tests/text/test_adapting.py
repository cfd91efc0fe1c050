"""Every way to adapt an encoder, on a tiny BERT."""

import copy
import os
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tiny_encoder import FAMILIES, WORDS, make_encoder
from torch import nn

from pppl.config import TextDiffSettings
from pppl.diff import DeltaFile, DeltaStore, base_sha256, batch_statistics, write_delta
from pppl.system.errors import UserError
from pppl.text.encoder import TextClassifier, Tokens
from pppl.text.setting import Setting
from pppl.text.text_methods import TEXT_METHODS
from pppl.text.text_tasks import Examples
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


@pytest.mark.parametrize("method", TEXT_METHODS)
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
    setting = _setting(**rates, steps=75, train=train, each_gradient=each_gradient)
    adapted = TEXT_METHODS[method].adapt(network, setting)
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
        assert adapted.delta is not None
        assert adapted.delta.metadata == {"labels": '["glad", "cross"]'}
    if method in ("lora", "shira"):
        with pytest.raises(UserError, match=r"rank 1 has .* values, more than a rate of 1e-06 allows"):
            TEXT_METHODS[method].adapt(TextClassifier(encoder, 2), replace(setting, rate=1e-6))
        with pytest.raises(UserError, match=r"rank 1 has .* values, more than a rate of 1e-06 allows"):
            TEXT_METHODS[method].check(TextClassifier(encoder, 2).encoder, 1e-6)


def _setting(**options: Any) -> Setting:
    usual: dict[str, Any] = {"seed": 0, "diff": TextDiffSettings(), "compiled": False}
    return Setting(**usual, metadata={"labels": '["glad", "cross"]'}, **options)


@pytest.mark.parametrize("family", FAMILIES)
def test_any_family_of_encoders_in_any_precision(family: str, examples: Examples, tmp_path: Path):
    folder = make_encoder(tmp_path, family, torch.bfloat16)
    network, tokens = TextClassifier(folder, 2), Tokens(folder, examples)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    inputs, targets = next(tokens.batches(16))

    def train(adapter: Adapter, steps: int) -> None:
        adapter.sample()
        F.cross_entropy(network(inputs), targets).backward()
        adapter.step(1.0)

    rates = {"learning_rate": 1e-2, "head_rate": 1e-2, "rate": 0.004}
    for method in ("lora", "last_layer", "diff"):
        network = TextClassifier(folder, 2)
        TEXT_METHODS[method].check(network.encoder, 0.004)
        before = {name: value.clone() for name, value in network.encoder.named_parameters()}
        adapted = TEXT_METHODS[method].adapt(
            network, _setting(**rates, steps=2, train=train, each_gradient=lambda _: None)
        )
        assert adapted.values > 0
        changed = [
            not torch.equal(value, before.get(name, value)) for name, value in network.encoder.named_parameters()
        ]
        assert any(changed) or method == "lora", "which adds parameters"


def test_an_encoder_that_has_no_query_projection(encoder: str):
    with pytest.raises(UserError, match=r"lora: none of this encoder's layers is a query projection by name \(out\)"):
        TEXT_METHODS["lora"].check(nn.ModuleDict({"out": nn.Linear(3, 3)}), 0.1)


def test_batch_statistics_of_an_encoder_are_a_tasks_own(encoder: str, examples: Examples, tmp_path: Path):
    network, tokens = TextClassifier(encoder, 2), Tokens(encoder, examples)
    network.encoder.add_module("norm", nn.BatchNorm1d(16))
    network.encoder.register_forward_hook(_normalized)
    sha256 = base_sha256(network, own=["head.weight", "head.bias", *batch_statistics(network)])
    base = copy.deepcopy(network)
    inputs, targets = next(tokens.batches(16))

    def train(adapter: Adapter, steps: int) -> None:
        network.train()
        for _ in range(steps):
            adapter.sample()
            F.cross_entropy(network(inputs), targets).backward()
            adapter.step(1.0)

    rates = {"learning_rate": 1e-2, "head_rate": 1e-2, "rate": 0.004}
    adapted = TEXT_METHODS["diff"].adapt(network, _setting(**rates, steps=6, train=train, each_gradient=lambda _: None))
    assert adapted.delta is not None
    assert adapted.delta.base_sha256 == sha256
    write_delta(tmp_path / "task", adapted.delta)
    store = DeltaStore(base, dense=["head.*"])
    store.add("task", DeltaFile(tmp_path / "task"))
    store.apply("task")
    assert torch.equal(base.eval()(inputs), network.eval()(inputs))


def _normalized(encoder: Any, _: object, output: Any) -> Any:
    output.last_hidden_state = encoder.norm(output.last_hidden_state.transpose(1, 2)).transpose(1, 2)
    return output


def test_an_encoder_that_is_not_there(tmp_path: Path):
    with pytest.raises(UserError, match=r"cannot load encoder .*name a folder, a model of the hub or minilm-l6"):
        TextClassifier(str(tmp_path), 2)
    make_encoder(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-50])
    with pytest.raises(UserError, match=r"cannot load encoder .*ncomplete"):
        TextClassifier(str(tmp_path), 2)


def test_a_rank_that_no_layer_has(encoder: str):
    setting = _setting(
        **{"learning_rate": 1e-3, "head_rate": 1e-3, "rate": 0.9, "steps": 0},
        train=lambda adapter, steps: None,
        each_gradient=lambda after: None,
    )
    with pytest.raises(UserError, match=r"ShiraConfig of rank \d+: "):
        TEXT_METHODS["shira"].adapt(TextClassifier(encoder, 2), setting)


def test_checks_of_sparse_tensors_stay_on(encoder: str):
    setting = _setting(
        **{"learning_rate": 1e-3, "head_rate": 1e-3, "rate": 0.004, "steps": 0},
        train=lambda adapter, steps: None,
        each_gradient=lambda after: None,
    )
    with torch.sparse.check_sparse_tensor_invariants(enable=True):
        TEXT_METHODS["shira"].adapt(TextClassifier(encoder, 2), setting)
        assert torch.sparse.check_sparse_tensor_invariants.is_enabled()
