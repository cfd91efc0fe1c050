"""A person's code: the numbers that gates read, moved until predictions on the support set are sure and varied."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..backbones import evaluating
from .person_gates import PersonGatedNetwork, relaxed_masks, with_gradient_of

# A function from scores, `(1, D)`, to masks, `(1, D)` boolean, and the score at which they were cut, `(1,)`.
Masks = Callable[[Tensor], tuple[Tensor, Tensor]]


def find_code(
    network: PersonGatedNetwork,
    x: Tensor,
    prototype: Tensor,
    budget: Tensor,
    masks: Masks,
    added: Tensor,
    *,
    temperature: float,
    steps: int,
    learning_rate: float,
) -> Tensor:
    """Return what is to be added to what the gates read of a person, `(1, size)`; no label is read, no weight changes.

    The mutual information of samples and predictions on the support set is maximized over the code (Krause, Perona,
    Gomes 2010): predictions are to be sure for each sample, and different over all of them.

    **Arguments:**

    - `x`: the support set, `(N, C, ...)`.
    - `prototype`, `budget`: `(1, K)` and `(1,)`, as for `PersonGatedNetwork.scores`.
    - `added`: `(K,)`, added to the outputs, such as a class prior.
    - `temperature`: of the relaxation of masks.
    - `steps`, `learning_rate`: of Adam.
    """
    moved = torch.zeros(1, network.sight.size, device=x.device, requires_grad=True)
    optimizer = torch.optim.Adam([moved], lr=learning_rate)
    with evaluating(network), torch.enable_grad():
        for _ in range(steps):
            scores = network.scores(prototype, budget, moved)
            kept, cut = masks(scores)
            gates = with_gradient_of(kept, relaxed_masks(scores, cut, temperature))
            loss = -information(network(x, gates.expand(len(x), -1)) + added)
            (moved.grad,) = torch.autograd.grad(loss, [moved])
            optimizer.step()
    return moved.detach()


def information(logits: Tensor) -> Tensor:
    """Return the mutual information of samples and predictions, in nats, from logits `(B, K)`.

    >>> round(float(information(torch.eye(2) * 1e3)), 4)  # two samples, surely of two classes: log 2
    0.6931
    """
    probabilities = logits.softmax(1)
    mean = probabilities.mean(0)
    return (probabilities * logits.log_softmax(1)).sum(1).mean() - (mean * mean.clamp(min=1e-12).log()).sum()
