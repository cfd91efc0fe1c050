"""What a forward pass calls: modules in their order, with the shapes of what they output."""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from .examples import FAILURES, samples_in, tensors_of, twice
from .modes import evaluating


@dataclass(kw_only=True)
class Calls:
    """What a forward pass called, by path.

    - `order`: modules in order of their first call.
    - `count`: how often each was called.
    - `shapes`: shapes of the outputs.
    - `named`: modules that were given all their inputs by keyword, where hooks do not see them.
    - `by_sample`: modules whose output has one row for each sample, with any number of samples.
    - `outputs`: what the network returned.
    - `samples`, `dims`: number of samples in the example, and of dimensions of its first tensor.
    """

    order: dict[str, int] = field(default_factory=dict)
    count: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    by_sample: set[str] = field(default_factory=set)
    outputs: list[Tensor] = field(default_factory=list)
    samples: int = 0
    dims: int = 0

    @staticmethod
    def of(network: nn.Module, example: Any) -> "Calls":
        """Return the calls of one pass in evaluation mode."""
        calls = Calls._of_pass(network, example)
        calls.by_sample = {path for path, shape in calls.shapes.items() if shape[:1] == (calls.samples,)}
        with suppress(*FAILURES):  # a network for this number of samples alone
            more = Calls._of_pass(network, twice(example))
            calls.by_sample = {path for path in calls.by_sample if more.shapes.get(path, ())[:1] == (more.samples,)}
        return calls

    @staticmethod
    def _of_pass(network: nn.Module, example: Any) -> "Calls":
        calls = Calls(samples=samples_in(example), dims=max((each.ndim for each in tensors_of(example)[:1]), default=0))

        def note(path: str, _: nn.Module, inputs: tuple[Any, ...], named: Mapping[str, Any], output: object) -> None:
            calls.order.setdefault(path, len(calls.order))
            calls.count[path] += 1
            calls.shapes[path] = tuple(output.shape) if isinstance(output, Tensor) else ()
            if named and not inputs:
                calls.named.add(path)

        handles = [
            module.register_forward_hook(partial(note, path), with_kwargs=True)
            for path, module in network.named_modules()
        ]
        try:
            with evaluating(network), torch.no_grad():
                calls.outputs = tensors_of(network(example))
        finally:
            for handle in handles:
                handle.remove()
        return calls
