import numpy as np
import pytest
import safetensors.torch
import torch
from sklearn.cluster import KMeans

from pppl import Experiment
from pppl.backbones import artifact_bytes, build, spec_for
from pppl.data import Support
from pppl.personalizers import GlobalModel, make_personalizers
from pppl.pruning import CostModel, share_weights
from pppl.pruning.shared_weights import cluster, pack
from pppl.tasks import TASKS

SHAPE = (3, 8, 8)


@pytest.fixture(scope="module")
def model() -> GlobalModel:
    torch.manual_seed(0)
    full = build(spec_for("convnet", {"widths": (12, 16, 16)}, SHAPE, 4)).eval()
    support = Support(x=torch.randn(8, *SHAPE), y=torch.arange(8) % 4)
    return GlobalModel(task=TASKS["classification"], full=full, gated={}, cost=CostModel(full, SHAPE), train=support)


@pytest.mark.parametrize("bits", [1, 3, 4])
def test_centroids_are_those_of_scikit_learns_k_means(bits: int):
    values = torch.randn(400, generator=torch.Generator().manual_seed(bits))
    centroids, codes = cluster(values, bits)
    column = values.double().numpy()[:, None]
    start = np.linspace(column.min(), column.max(), 2**bits)[:, None]
    peer = KMeans(2**bits, init=start, n_init=1, tol=0, max_iter=1000).fit(column)
    np.testing.assert_allclose(centroids.numpy(), peer.cluster_centers_[:, 0], atol=1e-5)
    assert (codes.numpy() == peer.labels_).all()
    nearest = (values[:, None] - centroids).abs().argmin(1)
    assert torch.equal(codes, nearest)


def test_few_different_values_stay_as_they_are():
    values = torch.tensor([0.5, -1.0, 0.5, 0.0, -1.0])
    centroids, codes = cluster(values, 4)
    torch.testing.assert_close(centroids[codes], values)
    same, at = cluster(torch.full((7,), 2.0), 3)
    torch.testing.assert_close(same[at], torch.full((7,), 2.0))


@pytest.mark.parametrize("bits", range(1, 9))
def test_codes_are_packed_bit_by_bit(bits: int):
    codes = torch.randint(2**bits, (37,), generator=torch.Generator().manual_seed(bits))
    packed = pack(codes, bits)
    assert len(packed) == (37 * bits + 7) // 8
    stream = "".join(f"{byte:08b}" for byte in packed.tolist())
    assert [int(stream[i * bits : (i + 1) * bits], 2) for i in range(37)] == codes.tolist()


def test_a_file_has_bits_for_weights_and_floats_for_the_rest(model: GlobalModel):
    shared, size = share_weights(model.full, 4)
    state = model.full.state_dict()
    coded = [n for n, p in model.full.named_parameters() if p.ndim > 1]
    rest = sum(v.numel() * v.element_size() for n, v in state.items() if n not in coded)
    content = rest + sum((state[n].numel() + 1) // 2 + 64 for n in coded)
    header = size - content
    assert 0 < header < 130 * (len(state) + len(coded))
    assert size < artifact_bytes(model.full) / 3
    for name in coded:
        values = shared.get_parameter(name)
        assert len(values.unique()) <= 16
        assert (values - model.full.get_parameter(name)).abs().max() < model.full.get_parameter(name).abs().max() / 4
    assert all(torch.equal(v, state[n]) for n, v in shared.state_dict().items() if n not in coded)
    assert len(safetensors.torch.save({k: v.contiguous() for k, v in state.items()})) == artifact_bytes(model.full)


def test_behind_a_method_only_weights_and_bytes_change(model: GlobalModel):
    experiment = Experiment()
    made = {}
    for method in ("l1_local", "l1_local+quant", "full+quant", "l1_local+quant+finetune"):
        (personalizer,) = make_personalizers(experiment.replace(methods=[method]))
        made[method] = personalizer.personalize(model, model.train, 0.5)
        if method != "l1_local+quant+finetune":
            assert personalizer.support_from == "none"
    pruned, coded = made["l1_local"], made["l1_local+quant"]
    assert coded.cost == pruned.cost
    assert coded.bytes < pruned.bytes / 2
    assert made["full+quant"].cost == model.cost.full
    assert made["l1_local+quant+finetune"].bytes == pruned.bytes  # its weights are no longer shared
