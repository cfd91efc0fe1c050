"""A context in which networks are in evaluation mode."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(*networks: nn.Module) -> Iterator[None]:
    """Keep networks in evaluation mode while the context is open, then restore the mode of every submodule.

    A submodule may have another mode than its network, such as frozen batch normalization.

    >>> network = nn.Dropout()
    >>> with evaluating(network):
    ...     network.training
    False
    >>> network.training
    True
    """
    if not any(module.training for network in networks for module in network.modules()):
        yield
        return
    before = [(module, module.training) for network in networks for module in network.modules()]
    for network in networks:
        network.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training
