import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call

from pppl import Experiment
from pppl.backbones import Backbone, ShapeSpec, build, spec_for
from pppl.data import Support
from pppl.personalizers import GlobalModel, make_personalizers
from pppl.personalizers.onda import _of_nearest_prototype, hap_scores
from pppl.pruning import CostModel, filter_traces
from pppl.tasks import TASKS

SHAPE = (1, 6, 6)


@pytest.fixture(scope="module")
def model() -> GlobalModel:
    torch.manual_seed(0)
    full = build(spec_for("convnet", {"widths": (3, 4, 4)}, SHAPE, 3)).double().eval()
    support = Support(x=torch.randn(9, *SHAPE).double(), y=torch.arange(9) % 3, seed=4)
    return GlobalModel(
        task=TASKS["classification"], full=full, gated={}, cost=CostModel(full.float(), SHAPE), train=support
    )


def _exact_traces(network: torch.nn.Module, path: str, support: Support) -> torch.Tensor:
    """Traces of a filter's blocks from the whole Hessian of a layer's weights."""
    weight = network.get_parameter(f"{path}.weight").detach()

    def loss(values: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(functional_call(network, {f"{path}.weight": values}, support.x), support.y)

    hessian = torch.autograd.functional.hessian(loss, weight)
    assert isinstance(hessian, torch.Tensor)
    return hessian.reshape(weight.numel(), weight.numel()).diag().view(len(weight), -1).sum(1)


def test_traces_are_those_of_the_exact_hessian_whatever_the_labels(model: GlobalModel):
    network, x = model.full.double(), model.train.x
    traces = filter_traces(network, x)
    for labels in (model.train.y, (model.train.y + 1) % 3):
        for group, trace in zip(network.groups, traces, strict=True):
            exact = _exact_traces(network, group.producer, Support(x=x, y=labels))
            torch.testing.assert_close(trace, exact, atol=1e-12, rtol=1e-9)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_hap_weighs_traces_by_mean_squares(model: GlobalModel):
    network = model.full.double()
    traces = filter_traces(network, model.train.x)
    for group, trace, score in zip(network.groups, traces, hap_scores(network, model.train.x), strict=True):
        weight = network.get_parameter(f"{group.producer}.weight")
        torch.testing.assert_close(score, trace / 2 * weight.flatten(1).pow(2).sum(1) / weight[0].numel())


def _experiment(method: str, **others: object) -> Experiment:
    return Experiment().replace(**{"methods": [method], "finetune.steps": 2, "finetune.pruned_steps": 4, **others})


@pytest.mark.parametrize("method", ["onda_hap", "onda_hap_tpt", "onda_l1", "onda_l1_tpt"])
@pytest.mark.parametrize("labels", ["model", "prototypes"])
def test_labels_are_never_read_and_training_is_counted(tiny_model: GlobalModel, method: str, labels: str):
    (personalizer,) = make_personalizers(_experiment(method, **{"onda.labels": labels}))
    support = tiny_model.train
    other = Support(x=support.x, y=(support.y + 1) % 3, seed=support.seed)
    one, two = (personalizer.personalize(tiny_model, each, 0.5) for each in (support, other))
    assert all(torch.equal(a, b) for a, b in zip(one.module.parameters(), two.module.parameters(), strict=True))
    assert one.cost.macs <= 0.5 * tiny_model.cost.full.macs
    assert one.retrain_samples == len(support.x) * (4 + 2 * method.endswith("tpt"))


@pytest.fixture
def tiny_model(model: GlobalModel) -> GlobalModel:
    support = Support(x=model.train.x.float(), y=model.train.y, seed=4)
    return GlobalModel(task=TASKS["classification"], full=model.full.float(), gated={}, cost=model.cost, train=support)


def test_pseudo_labels_of_the_model_are_what_is_trained_on(tiny_model: GlobalModel):
    """With the full network's own labels as true ones, it is what pruning and `+finetune` give."""
    with torch.no_grad():
        labels = tiny_model.full(tiny_model.train.x).argmax(1)
    support = Support(x=tiny_model.train.x, y=labels, seed=4)
    (onda,) = make_personalizers(_experiment("onda_l1"))
    (plain,) = make_personalizers(_experiment("l1+finetune"))
    one, two = (each.personalize(tiny_model, support, 0.5).module for each in (onda, plain))
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("method", ["onda_hap", "onda_l1_tpt"])
def test_what_is_kept_of_samples_is_of_one_network(tiny_model: GlobalModel, method: str):
    (personalizer,) = make_personalizers(_experiment(method))
    torch.manual_seed(1)
    full = build(tiny_model.full.spec).eval()
    other = GlobalModel(task=TASKS["classification"], full=full, gated={}, cost=tiny_model.cost, train=tiny_model.train)
    fresh = Support(x=tiny_model.train.x, y=tiny_model.train.y, seed=4)
    personalizer.personalize(tiny_model, tiny_model.train, 0.5)
    again, anew = (personalizer.personalize(other, each, 0.5).module for each in (tiny_model.train, fresh))
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), anew.parameters(), strict=True))


def test_every_layer_can_lose_the_same(tiny_model: GlobalModel):
    (personalizer,) = make_personalizers(_experiment("onda_hap", **{"onda.scope": "local"}))
    masks = personalizer.personalize(tiny_model, tiny_model.train, 0.5).masks
    assert masks is not None
    scores = hap_scores(tiny_model.full, tiny_model.train.x)
    for mask, score in zip(masks, scores, strict=True):
        assert 0 < mask.sum() < len(mask)
        assert score[mask].min() >= score[~mask].max()


def test_tuning_first_prunes_the_tuned_network(tiny_model: GlobalModel):
    config = {"finetune.learning_rate": 0.5, "finetune.steps": 5}
    masks = []
    for method in ("onda_l1", "onda_l1_tpt"):
        (personalizer,) = make_personalizers(_experiment(method, **config))
        made = personalizer.personalize(tiny_model, tiny_model.train, 0.4)
        assert made.masks is not None
        masks.append(torch.cat(made.masks))
    assert not torch.equal(*masks)


def test_prototypes_relabel_a_sample_that_lies_among_another_class():
    """Features of two far groups; one sample of the first is taken for the second class by the head."""

    class Head(Backbone):
        def __init__(self) -> None:
            super().__init__()
            self.spec = ShapeSpec(backbone="head", options={"num_outputs": 3})
            self.head = torch.nn.Linear(2, 3, bias=False)
            self.head.weight.data = torch.tensor([[4.0, 0.0], [0.0, 4.0], [-4.0, -4.0]])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(x)

    x = torch.tensor([[1.0, 0.1], [1.0, 0.0], [1.0, 0.05], [0.6, 0.65], [-0.4, 1.0], [-0.5, 1.0]])
    network = Head()
    assert network(x).argmax(1).tolist() == [0, 0, 0, 1, 1, 1]
    assert _of_nearest_prototype(network, x).tolist() == [0, 0, 0, 0, 1, 1]
