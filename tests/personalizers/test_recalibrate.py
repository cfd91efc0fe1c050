import pytest
import torch
from torch import nn

from pppl import Experiment
from pppl.backbones import build, spec_for
from pppl.data import Support
from pppl.diff import base_sha256, batch_statistics
from pppl.personalizers import GlobalModel, PersonalModel, make_personalizers
from pppl.pruning import CostModel
from pppl.system.errors import UserError
from pppl.tasks import TASKS


@pytest.fixture
def support() -> Support:
    generator = torch.Generator().manual_seed(0)
    return Support(x=3 + 2 * torch.randn(8, 1, 8, 8, generator=generator), y=torch.arange(8))


def _made(experiment: Experiment, model: GlobalModel, support: Support, share: float) -> PersonalModel:
    (personalizer,) = make_personalizers(experiment.replace(methods=["l1+bn"], **{"bn.share": share}))
    return personalizer.personalize(model, support, 0.5)


def _norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]


def test_the_support_set_is_normalized_in_every_layer(tiny: Experiment, model: GlobalModel, support: Support):
    made = _made(tiny, model, support, 1.0)
    seen: list[torch.Tensor] = []

    def record(layer: nn.BatchNorm2d, _: object, out: torch.Tensor) -> None:
        seen.append((out - layer.bias[:, None, None]) / layer.weight[:, None, None])

    for layer in _norms(made.module):
        layer.register_forward_hook(record)  # pyright: ignore[reportArgumentType] (of this layer)
    with torch.no_grad():
        made.module(support.x)
    assert len(seen) > 2
    for normalized in seen:  # but for Bessel's factor: the variance that is kept is the unbiased one
        values = normalized.transpose(0, 1).flatten(1)  # (C, N * H * W)
        torch.testing.assert_close(values.mean(1), torch.zeros(len(values)), atol=2e-2, rtol=0)
        live = values.var(1) > 0.1  # a channel that is the same everywhere stays at 0
        torch.testing.assert_close(values[live].var(1), torch.ones(int(live.sum())), atol=4e-2, rtol=0)


def test_the_share_mixes_with_the_training_datas_statistics(tiny: Experiment, model: GlobalModel, support: Support):
    (plain,) = make_personalizers(tiny.replace(methods=["l1"]))
    before = _norms(plain.personalize(model, support, 0.5).module)[0]
    whole, half = (_norms(_made(tiny, model, support, share).module)[0] for share in (1.0, 0.5))
    for name in ("running_mean", "running_var"):
        mixed = (getattr(before, name) + getattr(whole, name)) / 2
        torch.testing.assert_close(getattr(half, name), mixed)
    assert half.momentum == before.momentum


def test_weights_and_the_global_network_stay(tiny: Experiment, model: GlobalModel, support: Support):
    state = {key: value.clone() for key, value in model.full.state_dict().items()}
    made = _made(tiny, model, support, 1.0)
    assert made.retrain_samples == 0
    assert not made.module.training
    assert all(torch.equal(value, model.full.state_dict()[key]) for key, value in state.items())
    (plain,) = make_personalizers(tiny.replace(methods=["l1"]))
    parameters = plain.personalize(model, support, 0.5).module.parameters()
    assert all(torch.equal(a, b) for a, b in zip(made.module.parameters(), parameters, strict=True))


def test_bytes_are_of_what_is_sent(tiny: Experiment, model: GlobalModel, support: Support):
    """Statistics are in a quantized network's file already, and travel with a delta."""
    names = ["l1+quant", "l1+quant+bn", "diff", "diff+bn", "l1+bn"]
    of = {each.method: each for each in make_personalizers(tiny.replace(methods=names))}
    made = {name: of[name].personalize(model, support, 0.5) for name in names}
    assert made["l1+quant+bn"].bytes == made["l1+quant"].bytes < made["l1+bn"].bytes
    plain, with_statistics = made["diff"].delta, made["diff+bn"].delta
    assert plain is not None
    assert with_statistics is not None
    assert dict(plain.positions).keys() == dict(with_statistics.positions).keys()
    statistics = batch_statistics(model.full)
    assert set(with_statistics.state) == set(statistics)
    size = sum(model.full.get_buffer(name).nbytes for name in statistics)
    assert made["diff"].bytes + size < made["diff+bn"].bytes < made["diff"].bytes + 2 * size + 2000
    assert with_statistics.base_sha256 == base_sha256(model.full, own=statistics)


def test_one_sample_has_no_variance(tiny: Experiment, model: GlobalModel, support: Support):
    with pytest.raises(UserError, match=r"method l1\+bn needs at least 2 support samples: raise persons\.shots"):
        _made(tiny, model, Support(x=support.x[:1], y=support.y[:1]), 1.0)


def test_dropout_stays_off():
    """BC-ResNet has some before its norms: statistics would be of random samples."""
    shape = (1, 9, 40)
    full = build(spec_for("bc_resnet", {"scale": 0.5}, shape, 4)).eval()
    support = Support(x=torch.randn(6, *shape), y=torch.arange(6) % 4)
    model = GlobalModel(task=TASKS["classification"], full=full, gated={}, cost=CostModel(full, shape), train=support)
    (personalizer,) = make_personalizers(Experiment().replace(methods=["full+bn"]))
    one, two = (personalizer.personalize(model, support).module.state_dict() for _ in range(2))
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert any(not torch.equal(one[key], value) for key, value in full.state_dict().items())
