"""The first stage of diff pruning: a dense difference behind gates that learn which values are worth keeping."""

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

# Blocks that a pass takes at a time if it is not compiled. Its intermediate results then fit the processor's cache.
_CHUNK = 256
_INITIAL_LOG_ALPHA = 5.0
# The log_alpha of padding. Its gate stays closed: P(z > 0) and its slope are exactly 0.
_NEVER = -1e4


class RelaxedDiff:
    """A trainer of w and log_alpha in `theta = base + z * w` (Guo et al. 2021, section 3) for a module's parameters.

    The module computes with one sample of z per step, for any number of micro-batches:

    >>> module = torch.nn.Linear(4, 2)
    >>> relaxed = RelaxedDiff(Flat(module, ["weight"]))
    >>> relaxed.sample()
    >>> for batch in torch.randn(2, 3, 4):
    ...     module(batch).square().mean().backward()
    >>> relaxed.step(learning_rate=5e-4, gate_rate=0.1)

    Between steps the module holds the base, bit for bit. Memory then holds 7 copies of the parameters: base, w,
    log_alpha and two moments each of w and log_alpha. A step adds the sampled weights and their gradient.

    **Arguments:**

    - `flat`: the parameters that get a difference.
    - `structured`: whether each parameter also has a group gate z_g, with z = z_i z_g.
    - `penalty`: lambda, the penalty per expected difference.
    - `groups`: what the penalty counts if there are group gates. `product` sums P(z_i > 0) P(z_g > 0) over values, as
      the paper does. `sum` adds up P(z > 0) of both kinds of gates, as the paper's code does. With `product` a group
      gate costs as much as its whole parameter. In short training, the largest parameters then lose all differences,
      whatever these are worth.
    - `clip`: the largest norm of the gradient of w, and separately of the gradient of log_alpha.
    - `seed`: seed of the gates' noise.
    - `compiled`: whether `torch.compile` fuses the passes. The results are the same up to rounding.
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
        self._weights: list[Tensor] = []  # weights of the current sample; empty between steps
        self._gradients: list[Tensor] = []

    def sample(self) -> None:
        """Make the module compute with a new sample of the gates, and accumulate gradients until `step`.

        Do nothing if there already is a sample.
        """
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
        """Update w and log_alpha by Adam with the gradients since `sample`, and restore the base.

        Raise `RuntimeError` without a sample, and `Diverged` if gradients are not finite.
        """
        if not self._weights:
            raise RuntimeError("step without sample: call sample() and backward() before step()")
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
        """Make the module hold the base, and drop the sampled weights and the parameters' gradients."""
        self._weights = []
        self.flat.point(self.flat.parts)
        for parameter in self.flat.parameters.values():
            parameter.grad = None

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Make the module compute with noise-free gates inside the context."""
        weights, group = self.flat.empty(), self._of_blocks(evaluation_gate(self.group_log_alpha))
        for rows, (out, base) in self._stripes(weights, self.flat.parts):
            out.copy_(base + self._difference(rows, group))
        self.flat.point(weights)
        try:
            yield
        finally:
            self.flat.point(self._weights or self.flat.parts)

    def difference(self) -> Tensor:
        """Return z * w for noise-free gates, `(blocks, BLOCK)`."""
        group, out = self._of_blocks(evaluation_gate(self.group_log_alpha)), torch.empty_like(self.w)
        for rows, _ in self._stripes():
            out[rows] = self._difference(rows, group)
        return out

    def importance(self) -> Tensor:
        """Return the scores by which a projection ranks values: P(z > 0) |w|, `(blocks, BLOCK)`.

        These still rank values whose noise-free gates are closed.
        """
        group, out = self._of_blocks(open_probability(self.group_log_alpha)), torch.empty_like(self.w)
        for rows, _ in self._stripes():
            out[rows] = open_probability(self.log_alpha[rows]) * group[rows] * self.w[rows].abs()
        return out

    def expected_count(self) -> float:
        """Return E[L0], the expected number of differences that a sample keeps."""
        group = self._of_blocks(open_probability(self.group_log_alpha))
        counts = [(open_probability(self.log_alpha[rows]) * group[rows]).double().sum() for rows, _ in self._stripes()]
        return float(torch.stack(counts).sum())

    def _difference(self, rows: slice, group: Tensor) -> Tensor:
        return evaluation_gate(self.log_alpha[rows]) * group[rows] * self.w[rows]

    def _stripes(self, *storage: list[Tensor], whole: bool = False) -> Iterator[tuple[slice, list[Tensor]]]:
        """Yield ranges of blocks within one part, or `whole` parts, with the slice of each `storage` there."""
        for part, (first, end) in enumerate(pairwise(self.flat.edges)):
            for start in range(first, end, end - first if whole else _CHUNK):
                rows = slice(start, end if whole else min(start + _CHUNK, end))
                yield rows, [parts[part][rows.start - first : rows.stop - first] for parts in storage]

    def _arguments(self) -> Iterator[tuple[slice, tuple[Any, ...]]]:
        """Yield each range of blocks with the arguments of `passes.gradients` for it."""
        group = self._of_blocks(gate(self.group_log_alpha, self._group_noise))
        opened = open_probability(self.group_log_alpha)
        group_open = self._of_blocks(opened if self.groups == "product" else torch.ones_like(opened))
        for rows, (gradient,) in self._stripes(self._gradients, whole=self._compiled):
            of_rows = (self.w[rows], self.log_alpha[rows], gradient, group[rows], group_open[rows])
            yield rows, (*of_rows, self._penalty, rows.start, self._key)

    def _group_gradient(self, sums: Tensor) -> Tensor:
        """Return the gradient of the group gates' log_alpha, `(parameters,)`, from `passes.norms`, `(blocks, 4)`."""
        if not self.structured:
            return torch.zeros_like(self.group_log_alpha)
        along, count = torch.segment_reduce(sums[:, 2:], "sum", lengths=self._lengths).T
        opened = open_probability(self.group_log_alpha)
        of_gate = slope(stretched(self.group_log_alpha, self._group_noise))
        return along * of_gate + self._penalty * opened * (1 - opened) * (count if self.groups == "product" else 1)

    def _of_blocks(self, of_parameters: Tensor) -> Tensor:
        """Expand values per parameter, `(parameters,)`, to blocks, `(blocks, 1)`. Return ones without group gates."""
        values = of_parameters if self.structured else torch.ones_like(of_parameters)
        return values.repeat_interleave(self._lengths)[:, None]

    def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return (compile_passes(function) if self._compiled else function)(*arguments)


@cache  # an entry for each function of `passes.py`
def compile_passes(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a pass to one loop over its tensors. Its first call takes about half a minute."""
    with warnings.catch_warnings():
        # PyTorch itself uses a function that it deprecates.
        warnings.filterwarnings("ignore", ".*script_method.* is deprecated", DeprecationWarning)
        importlib.import_module("torch._inductor.compile_fx")
    # Both thresholds keep a pass in one loop. Otherwise it is split, with whole tensors in between.
    options: dict[str, Any] = {"realize_opcount_threshold": 1000, "realize_reads_threshold": 1000}
    return torch.compile(function, dynamic=False, options=options)
