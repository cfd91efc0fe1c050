"""Limits on the cost of a person's network: a fraction of MACs or parameters, bytes, or milliseconds."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from ..system.errors import UserError

Unit = Literal["macs", "params", "bytes", "ms"]
_UNITS: dict[str, tuple[Unit, int]] = {
    "": ("macs", 1),
    "params": ("params", 1),
    "B": ("bytes", 1),
    "kB": ("bytes", 10**3),
    "MB": ("bytes", 10**6),
    "ms": ("ms", 1),
}


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A limit on the cost of a personal network: a number and its unit.

    >>> str(Limit(value=0.25, unit="macs"))
    '0.25 of the MACs'

    - `unit`: `macs` and `params` are fractions of the full network's. `bytes` is the size of the personal model file.
      `ms` is the time of one sample through the exported ONNX file in ONNX Runtime, on one thread of this machine.
    """

    value: float
    unit: Unit

    @staticmethod
    def parse(text: str) -> "Limit":
        """Parse a limit such as `0.25`, `0.25params`, `40kB` or `2.5ms`.

        >>> Limit.parse("40kB")
        Limit(value=40000.0, unit='bytes')

        Raise `UserError` for anything else, and for fractions outside (0, 1].
        """
        found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+(?:[eE]-?[0-9]+)?)\s*([A-Za-z]*)\s*", text)
        if found is None or found[2] not in _UNITS:
            raise UserError(f"budget {text!r}: give 0.25 (of the MACs), 0.25params, 40kB (or B, MB) or 2.5ms")
        unit, factor = _UNITS[found[2]]
        value = float(Decimal(found[1]) * factor)  # exact: 1.001MB is 1,001,000 bytes, not one less
        if value <= 0 or (unit in ("macs", "params") and value > 1):
            raise UserError(f"budget {text!r}: a fraction is in (0, 1], other budgets are above 0")
        return Limit(value=value, unit=unit)

    def __str__(self) -> str:
        named = {"macs": "of the MACs", "params": "of the parameters", "bytes": "bytes", "ms": "ms"}
        return f"{self.value:g} {named[self.unit]}"
