"""Whether modules are in training or evaluation mode, put back as it was."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(*networks: nn.Module) -> Iterator[None]:
    """Keep networks in evaluation mode inside; every submodule then has the mode that it had before.

    A network may have parts in another mode than it is in itself, such as frozen batch normalization.
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
