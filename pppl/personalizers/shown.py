"""Display of a personal model, as text and in a notebook."""

from html import escape
from typing import NamedTuple

from ..backbones import Backbone
from ..pruning import Cost


class KeptLayer(NamedTuple):
    """A group of channels: how many are kept (`kept`), and how many the full network has (`of`)."""

    name: str
    kept: int
    of: int


def list_layers(module: Backbone, masks: list | None) -> list[KeptLayer]:
    """Return the kept channels of each group: all if `masks` is None, else those of `masks`, per group `(C_l,)`."""
    full = module.widths if masks is None else [len(mask) for mask in masks]
    kept = module.widths if masks is None else [int(mask.sum()) for mask in masks]
    return [KeptLayer(g.producer, k, of) for g, k, of in zip(module.groups, kept, full, strict=True)]


def describe_costs(cost: Cost, full: Cost, size: int, seconds: float) -> str:
    """Return one line: MACs and parameters relative to the full network's, bytes of the file, and seconds spent."""
    parts = [
        f"{cost.macs / full.macs:.1%} of the MACs ({_short(cost.macs)} of {_short(full.macs)})",
        f"{cost.params / full.params:.1%} of the parameters ({_short(cost.params)} of {_short(full.params)})",
        f"a file of {_short(size)}B",
        f"made in {1000 * seconds:.3g} ms",
    ]
    return ", ".join(parts)


def _short(count: float) -> str:
    """Return a number with three digits and k, M or G."""
    for unit in ("", "k", "M"):
        if count < 999.5:
            return f"{count:.3g} {unit}".rstrip() + " " * (not unit)
        count /= 1000
    return f"{count:.3g} G"


def as_html(line: str, shown: list[KeptLayer]) -> str:
    """Return HTML that shows the line, and below it a table with a bar for each layer."""
    rows = "".join(
        f"<tr><td style='text-align:left'><code>{escape(layer.name)}</code></td><td>{layer.kept} of {layer.of}</td>"
        f"<td style='text-align:left'><div style='width:10em;background:#dddddd'>"
        f"<div style='width:{layer.kept / layer.of:.1%};height:0.7em;background:#0072B2'></div></div></td></tr>"
        for layer in shown
    )
    head = "<tr><th style='text-align:left'>layer</th><th>channels kept</th><th></th></tr>"
    return f"<div><p>{escape(line)}</p><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>"
