"""Networks of timm and torchvision, in an environment that has them: what is found is removed and counted exactly."""

import pytest
import torch
from hub_networks import LIBRARIES, library_network
from masking import assert_close, masked, masks_of, with_values
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pppl.backbones import slice_network
from pppl.pruning import CostModel


@pytest.mark.slow
@pytest.mark.parametrize("name", LIBRARIES)
def test_what_is_found_in_networks_of_libraries_is_removed_and_counted_exactly(name: str):
    pytest.importorskip(name.partition("/")[0], exc_type=Exception)  # type: ignore[arg-type]
    network, shape = library_network(name)
    with_values(network)
    network.eval()
    masks, x = masks_of(network.widths, 0), torch.rand(2, *shape)
    smaller, widths = slice_network(network, masks), [int(mask.sum()) for mask in masks]
    with torch.no_grad():
        assert_close(masked(network, masks, x), [smaller(x)])
        fastpath = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)  # the counter does not see into it, nor into fused attention
        try:
            with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
                smaller(x[:1])
        finally:
            torch.backends.mha.set_fastpath_enabled(fastpath)
    cost = CostModel(network, shape)(widths)
    assert cost.macs == counter.get_total_flops() // 2
    assert cost.params == sum(tensor.numel() for tensor in smaller.parameters())
