import pytest
import torch
import torch_pruning as tp

from pppl.backbones import Backbone, build, spec_for
from pppl.pruning import importance_scores
from pppl.system.errors import UserError

CRITERIA = {
    "magnitude": tp.importance.MagnitudeImportance(),
    "first": tp.importance.MagnitudeImportance(p=1, group_reduction="first"),
    "bn": tp.importance.BNScaleImportance(),
    "lamp": tp.importance.LAMPImportance(),
    "fpgm": tp.importance.FPGMImportance(),
}


def _network(name: str, options: dict, shape: tuple[int, ...]) -> Backbone:
    torch.manual_seed(0)
    network = build(spec_for(name, options, shape, 4)).eval()
    for parameter in network.parameters():
        parameter.data.uniform_(-1, 1)  # scales of batch normalization differ
    return network


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize(
    ("name", "options", "shape"), [("convnet", {"widths": (5, 6, 7)}, (3, 8, 8)), ("resnet20", {"width": 4}, (3, 8, 8))]
)
def test_scores_are_those_of_the_traced_network(name: str, options: dict, shape: tuple[int, ...], criterion: str):
    network = _network(name, options, shape)
    graph = tp.DependencyGraph().build_dependency(network, torch.zeros(1, *shape))
    for group, score in zip(network.groups, importance_scores(network, CRITERIA[criterion]), strict=True):
        producer = network.get_submodule(group.producer)
        traced = graph.get_pruning_group(producer, tp.prune_conv_out_channels, list(range(len(score))))
        torch.testing.assert_close(score, CRITERIA[criterion](traced), atol=0, rtol=1e-6)


def test_a_network_without_scales_is_refused():
    network = _network("res8", {"width": 5, "pool": (2, 2)}, (1, 13, 10))
    with pytest.raises(UserError, match=r"finds nothing to score at blocks\.0\.conv1 of backbone res8"):
        importance_scores(network, CRITERIA["bn"])
