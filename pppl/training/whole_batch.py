"""A batch that several processes share, with the statistics and random numbers of a single process."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

_DROPOUTS = (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d)


class WholeBatch(TorchFunctionMode):
    """A context in which operations that mix samples act on the whole batch, of which each process has a share.

    Batch normalization takes its statistics over all processes, on any device, with their gradients. Dropout and
    `torch.rand` draw numbers for all samples and keep those of this share: generators that begin in the same state stay
    in the same state. torch's own `SyncBatchNorm` needs a GPU and replaces modules only, not functions.

    **Arguments:**

    - `rank`: index of this process.
    - `sizes`: number of samples of each process. Random numbers for another number of samples than this process's
      are the same in all processes.
    """

    current: ClassVar["WholeBatch | None"] = None

    def __init__(self, rank: int, sizes: Sequence[int]):
        super().__init__()
        self.before, self.samples, self.total = sum(sizes[:rank]), sizes[rank], sum(sizes)

    def __enter__(self) -> "WholeBatch":
        WholeBatch.current = self
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        WholeBatch.current = None
        super().__exit__(*error)

    def gather(self, values: Tensor) -> Tensor:
        """Return the values of the whole batch, `(B, ...)`, in its order; gradients flow back to each process's own."""
        after = self.total - self.before - self.samples
        return sum_over_processes(F.pad(values, [*(0, 0) * (values.ndim - 1), self.before, after]))

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call `func`, or its replacement for whole batches."""
        kwargs = kwargs or {}
        if func is F.batch_norm:
            return self._normalize(*args, **kwargs)
        if func in _DROPOUTS:
            return self._dropout(func, *args, **kwargs)
        if func is torch.rand and args[:1] == (self.samples,):
            return self._share(torch.rand(self.total, *args[1:], **kwargs))
        return func(*args, **kwargs)

    def _share(self, values: Tensor) -> Tensor:
        return values[self.before :][: self.samples]

    def _dropout(
        self, func: Callable[..., Tensor], x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        if not training or p == 0 or len(x) != self.samples:
            return func(x, p, training, inplace)
        # The layout of `x` is kept, because random numbers are drawn in the order of memory.
        ones = torch.empty_strided((self.total, *x.shape[1:]), x.stride(), dtype=x.dtype, device=x.device).fill_(1)
        factor = self._share(func(ones, p))
        return x.mul_(factor) if inplace else x * factor

    def _normalize(
        self,
        x: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        """Return this share of `F.batch_norm` of the whole batch."""
        if not training:
            return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
        x32 = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        dims, shape = [0, *range(2, x.ndim)], (1, -1, *(1,) * (x.ndim - 2))
        count = x.numel() // x.shape[1] // self.samples * self.total
        mean = sum_over_processes(x32.sum(dims)) / count
        centred = x32 - mean.view(shape)
        variance = sum_over_processes(centred.square().sum(dims)) / count
        with torch.no_grad():
            if running_mean is not None:
                running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            if running_var is not None:
                unbiased = variance * (count / max(count - 1, 1))
                running_var.lerp_(unbiased.to(running_var.dtype), momentum)
        scale = (variance + eps).rsqrt()
        normalized = centred * (scale if weight is None else scale * weight).view(shape)
        return (normalized if bias is None else normalized + bias.view(shape)).to(x.dtype)


class _Sum(torch.autograd.Function):
    """The sum over processes, whose gradient is the sum of the processes' gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].clone(memory_format=torch.contiguous_format)  # every process's loss depends on these values
        dist.all_reduce(total)
        return total


def sum_over_processes(values: Tensor) -> Tensor:
    """Return the sum of all processes' values, through which gradients flow back to each process."""
    return _Sum.apply(values)  # pyright: ignore[reportReturnType] (what torch's stubs leave open)
