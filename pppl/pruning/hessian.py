"""How strongly the loss curves in the weights of a channel: traces of blocks of the Hessian."""

import torch
from torch import Tensor

from ..backbones import Backbone
from .cuts import channel_dim


def filter_traces(network: Backbone, x: Tensor) -> list[Tensor]:
    """For every channel, the trace of the Hessian of the mean cross-entropy in its filter's weights.

    Where logits are piecewise linear in the weights of any one layer, as with ReLU, the block is that of the
    Gauss-Newton matrix, and its trace the mean over samples and classes, weighted by the network's probabilities, of
    the squared gradient of the log-probability (Martens, JMLR 2020, section 5 and 9.2): exact, and the same whatever
    the labels. Elsewhere (SiLU) it leaves out the curvature of the logits. Hutchinson's estimate of the same, which HAP
    takes (Yu et al., WACV 2022), has the off-diagonal values of the whole Hessian as its noise, far above these traces.

    **Arguments:**

    - `x`: `(N, C, ...)`.

    **Returns:** per group, `(C_l,)`.
    """
    filters = [network.get_parameter(f"{group.producer}.weight") for group in network.groups]
    dims = [channel_dim(network.get_submodule(group.producer)) for group in network.groups]
    traces = [weight.new_zeros(weight.shape[dim]) for weight, dim in zip(filters, dims, strict=True)]
    with torch.inference_mode(False), torch.enable_grad():
        for sample in x:
            of_classes = network(sample[None]).log_softmax(1)[0]  # (K,)
            each = torch.eye(len(of_classes), device=x.device, dtype=of_classes.dtype)
            gradients = torch.autograd.grad(of_classes, filters, each, is_grads_batched=True)
            shares = of_classes.detach().exp() / len(x)
            for trace, gradient, dim in zip(traces, gradients, dims, strict=True):
                trace += shares @ gradient.square().movedim(dim + 1, 1).flatten(2).sum(2)  # (K, C_l, ...) -> (C_l,)
    return traces
