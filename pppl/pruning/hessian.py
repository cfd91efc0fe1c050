"""Traces of blocks of the Hessian: the curvature of the loss in the weights of each channel."""

import torch
from torch import Tensor

from ..backbones import Backbone, by_channel, channel_dim


def filter_traces(network: Backbone, x: Tensor) -> list[Tensor]:
    """Return, for every channel, the trace of the Hessian of the mean cross-entropy in the weights of its filter.

    This is the trace of the block of the Gauss-Newton matrix: the squared gradient of the log-probability, averaged
    over samples, and over classes with the network's probabilities as weights (Martens, JMLR 2020, sections 5 and 9.2).
    It does not depend on labels. It is exact if the logits are piecewise linear in the weights of any one layer, as
    with ReLU. With other activations (SiLU) it leaves out the curvature of the logits. HAP (Yu et al., WACV 2022) takes
    Hutchinson's estimate of the same trace. The noise of that estimate comes from the off-diagonal values of the whole
    Hessian and is far larger than these traces.

    **Arguments:**

    - `x`: samples, `(N, C, ...)`.

    **Returns:** per group, `(C_l,)`.

    ```python
    traces = filter_traces(network, x)  # large for channels that the loss is sensitive to
    ```
    """
    filters = [network.get_parameter(f"{group.producer}.weight") for group in network.groups]
    dims = [channel_dim(network.get_submodule(group.producer)) for group in network.groups]
    spans = [group.span(group.producer) for group in network.groups]
    traces = [filters[0].new_zeros(width) for width in network.widths]
    with torch.inference_mode(False), torch.enable_grad():
        for sample in x:
            of_classes = network(sample[None]).log_softmax(1)[0]  # (K,)
            each = torch.eye(len(of_classes), device=x.device, dtype=of_classes.dtype)
            gradients = torch.autograd.grad(of_classes, filters, each, is_grads_batched=True)
            shares = of_classes.detach().exp() / len(x)
            for trace, gradient, dim, span in zip(traces, gradients, dims, spans, strict=True):
                squares = gradient.square().movedim(dim + 1, 1).flatten(2).sum(2)  # (K, entries)
                trace += by_channel(shares @ squares, span, len(trace)).sum(1)  # (C_l,)
    return traces
