"""The first stage of diff pruning: a dense difference behind gates that learn which of it is worth keeping."""

import importlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..system.errors import Diverged
from . import passes
from .flat import BLOCK, Flat
from .hard_concrete import evaluation_gate, gate, open_probability, slope, stretched

# Blocks that a pass takes at a time where it is not compiled, so that what it needs in between stays in the cache.
_CHUNK = 256
_INITIAL_LOG_ALPHA = 5.0
# Closed for good: P(z > 0) and its slope are exactly 0.
_NEVER = -1e4


class RelaxedDiff:
    """Trains w and log_alpha of `theta = base + z * w` (Guo et al. 2021, section 3) on a module's parameters.

    In a step the module computes with one sample of z, whatever the number of micro-batches:

        relaxed.sample()
        for batch in micro_batches:
            loss(module(batch)).backward()
        relaxed.step(learning_rate=5e-4, gate_rate=0.1)

    Between steps the module holds the base, bit for bit, and 7 copies of the parameters stay: base, w, log_alpha and
    two moments of each. Within a step the sampled weights and their gradient come to them.

    **Arguments:**

    - `flat`: the parameters that get a difference.
    - `structured`: whether each parameter has a gate too, z = z_i z_g.
    - `penalty`: lambda, the price of one difference.
    - `groups`: what is priced where there are such gates: the `product` P(z_i > 0) P(z_g > 0), summed over values (the
      paper's), or the `sum` of both kinds of gates (its code's). By the product a gate costs what its whole parameter
      does, so that in short training the largest close, whatever they are worth.
    - `clip`: the largest norm of the gradients of w, and of those of log_alpha.
    - `seed`: of the gates' noise.
    - `compiled`: whether `torch.compile` fuses the passes; their numbers are the same up to rounding.
    """

    def __init__(
        self,
        flat: Flat,
        *,
        structured: bool = True,
        penalty: float = 1.25e-7,
        groups: Literal["product", "sum"] = "sum",
        clip: float = 1.0,
        seed: int = 0,
        compiled: bool = False,
    ):
        self.flat, self.structured, self.groups, self.clip = flat, structured, groups, clip
        self.steps = 0
        self._random = np.random.default_rng(seed)
        self._compiled = compiled
        self._options: dict[str, Any] = {"dtype": flat.state_dtype, "device": flat.device}
        self._penalty = torch.tensor(penalty, **self._options)
        shape = (flat.blocks, BLOCK)
        self.w = torch.zeros(shape, **self._options)
        self.log_alpha = torch.full(shape, _INITIAL_LOG_ALPHA, **self._options)
        self.log_alpha.view(-1)[flat.padding()] = _NEVER
        self._moments = [torch.zeros(shape, **self._options) for _ in range(4)]
        self.group_log_alpha = torch.full((len(flat.slots),), _INITIAL_LOG_ALPHA, **self._options)
        self._group_moments = torch.zeros(2, len(flat.slots), **self._options)
        self._lengths = flat.lengths()
        self._weights: list[Tensor] = []  # of the sample; none between steps
        self._gradients: list[Tensor] = []

    def sample(self) -> None:
        """Makes the module compute with a new sample of the gates, and its gradients add up, until `step`."""
        if self._weights:
            return
        self._key = torch.from_numpy(self._random.integers(-(2**31), 2**31, 2, dtype=np.int32)).to(self.flat.device)
        self._group_noise = torch.from_numpy(self._random.uniform(size=len(self.flat.slots))).to(**self._options)
        group = self._of_blocks(gate(self.group_log_alpha, self._group_noise))
        self._weights = self.flat.empty()
        for rows, (out, base) in self._stripes(self._weights, self.flat.parts, whole=self._compiled):
            self._run(passes.sample, out, base, self.w[rows], self.log_alpha[rows], group[rows], rows.start, self._key)
        self.flat.point(self._weights)
        self._gradients = [torch.zeros_like(part) for part in self.flat.parts]
        for name, view in self.flat.views(self._gradients):
            self.flat.parameters[name].grad = view

    def step(self, *, learning_rate: float, gate_rate: float) -> None:
        """Moves w and log_alpha by Adam along the gradients since `sample`; the module then holds the base again."""
        if not self._weights:
            raise RuntimeError("step without sample: there are no gradients of sampled gates")
        self.restore()
        arguments = list(self._arguments())
        sums = torch.cat([self._run(passes.norms, *values) for _, values in arguments])  # (blocks, 4)
        of_group = self._group_gradient(sums)
        squares = sums[:, :2].double().sum(0)
        squares[1] += of_group.double().square().sum()
        if not bool(squares.isfinite().all()):
            raise Diverged("gradients of diff pruning")
        clips = (self.clip / (squares.sqrt() + 1e-6)).clamp(max=1)
        self.steps += 1
        correct = [1 - beta**self.steps for beta in (passes.BETA1, passes.BETA2)]
        scales = torch.tensor([float(clips[0]), learning_rate, float(clips[1]), gate_rate, *correct], **self._options)
        for rows, values in arguments:
            self._run(passes.update, [moment[rows] for moment in self._moments], scales, *values)
        if self.structured:
            moments, rates = self._group_moments, scales[3:]
            passes.adam(self.group_log_alpha, of_group * scales[2], *moments, *rates, epsilon=passes.GATE_EPSILON)
        self._gradients = []

    def restore(self) -> None:
        """Makes the module hold the base; sampled weights and their gradients are dropped."""
        self._weights = []
        self.flat.point(self.flat.parts)
        for parameter in self.flat.parameters.values():
            parameter.grad = None

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Inside, the module computes with the gates without noise."""
        weights, group = self.flat.empty(), self._of_blocks(evaluation_gate(self.group_log_alpha))
        for rows, (out, base) in self._stripes(weights, self.flat.parts):
            out.copy_(base + self._difference(rows, group))
        self.flat.point(weights)
        try:
            yield
        finally:
            self.flat.point(self._weights or self.flat.parts)

    def difference(self) -> Tensor:
        """z * w with the gates without noise, `(blocks, BLOCK)`."""
        group, out = self._of_blocks(evaluation_gate(self.group_log_alpha)), torch.empty_like(self.w)
        for rows, _ in self._stripes():
            out[rows] = self._difference(rows, group)
        return out

    def importance(self) -> Tensor:
        """P(z > 0) |w|, `(blocks, BLOCK)`: what a projection ranks by. It still tells apart what gates have closed."""
        group, out = self._of_blocks(open_probability(self.group_log_alpha)), torch.empty_like(self.w)
        for rows, _ in self._stripes():
            out[rows] = open_probability(self.log_alpha[rows]) * group[rows] * self.w[rows].abs()
        return out

    def expected_count(self) -> float:
        """E[L0]: the number of differences that a sample keeps, on average."""
        group = self._of_blocks(open_probability(self.group_log_alpha))
        counts = [(open_probability(self.log_alpha[rows]) * group[rows]).double().sum() for rows, _ in self._stripes()]
        return float(torch.stack(counts).sum())

    def _difference(self, rows: slice, group: Tensor) -> Tensor:
        return evaluation_gate(self.log_alpha[rows]) * group[rows] * self.w[rows]

    def _stripes(self, *storage: list[Tensor], whole: bool = False) -> Iterator[tuple[slice, list[Tensor]]]:
        """Blocks that are taken at once, all of one part or the `whole` of it, and what each `storage` holds there."""
        for part, (first, end) in enumerate(pairwise(self.flat.edges)):
            for start in range(first, end, end - first if whole else _CHUNK):
                rows = slice(start, end if whole else min(start + _CHUNK, end))
                yield rows, [parts[part][rows.start - first : rows.stop - first] for parts in storage]

    def _arguments(self) -> Iterator[tuple[slice, tuple[Any, ...]]]:
        """What `passes.gradients` takes, for each stripe."""
        group = self._of_blocks(gate(self.group_log_alpha, self._group_noise))
        opened = open_probability(self.group_log_alpha)
        group_open = self._of_blocks(opened if self.groups == "product" else torch.ones_like(opened))
        for rows, (gradient,) in self._stripes(self._gradients, whole=self._compiled):
            of_rows = (self.w[rows], self.log_alpha[rows], gradient, group[rows], group_open[rows])
            yield rows, (*of_rows, self._penalty, rows.start, self._key)

    def _group_gradient(self, sums: Tensor) -> Tensor:
        """Of the group gates' log_alpha, `(parameters,)`, from the sums over blocks."""
        if not self.structured:
            return torch.zeros_like(self.group_log_alpha)
        along, count = torch.segment_reduce(sums[:, 2:], "sum", lengths=self._lengths).T
        opened = open_probability(self.group_log_alpha)
        of_gate = slope(stretched(self.group_log_alpha, self._group_noise))
        return along * of_gate + self._penalty * opened * (1 - opened) * (count if self.groups == "product" else 1)

    def _of_blocks(self, of_parameters: Tensor) -> Tensor:
        """`(parameters,)` to `(blocks, 1)`; 1 without group gates."""
        values = of_parameters if self.structured else torch.ones_like(of_parameters)
        return values.repeat_interleave(self._lengths)[:, None]

    def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return (compile_passes(function) if self._compiled else function)(*arguments)


@cache
def compile_passes(function: Callable[..., Any]) -> Callable[..., Any]:
    """A pass as `torch.compile` makes it: one loop over its tensors. Its first call takes half a minute or so."""
    with warnings.catch_warnings():
        # Torch itself uses what it deprecates.
        warnings.filterwarnings("ignore", ".*script_method.* is deprecated", DeprecationWarning)
        importlib.import_module("torch._inductor.compile_fx")
    # Both thresholds keep a pass from being split into several with whole tensors in between.
    options: dict[str, Any] = {"realize_opcount_threshold": 1000, "realize_reads_threshold": 1000}
    return torch.compile(function, dynamic=False, options=options)
