"""Short texts about the results of personalizing and timing."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ..system.printable import align

_MOST_GROUPS, _MOST_CLASSES = 8, 20


def deployment_as_text(report: Mapping[str, Any]) -> str:
    """Write the report of `personalize` as text: costs, channels kept, class prior, accuracies and files."""
    lines = [f"{report['method']} within {report['limit']}; {report['rounding']['reason']}"]
    for name, label in (("macs", "MACs"), ("params", "parameters")):
        own, full = report[name]["personal"], report[name]["full"]
        lines.append(f"{label:<11} {own:>13,} of {full:,} ({own / full:.1%})")
    if "milliseconds" in report:
        own, full = report["milliseconds"]["personal"], report["milliseconds"]["full"]
        lines.append(
            f"one sample takes {own:.3g} ms, through the full network {full:.3g} ms (ONNX Runtime, one thread)"
        )
    kept = [f"{name} {own}/{whole}" for name, (own, whole) in report["kept"].items()]
    more = f" and {len(kept) - _MOST_GROUPS} more layers" if len(kept) > _MOST_GROUPS else ""
    lines.append(f"channels kept: {', '.join(kept[:_MOST_GROUPS])}{more}")
    if "classes" in report:
        prior, sure = report["classes"]["prior"], report["classes"]["confidence"]
        shares = [f"{name} {share:.2f}" for name, share in prior.items()][:_MOST_GROUPS]
        more = f" and {len(prior) - _MOST_GROUPS} more" if len(prior) > _MOST_GROUPS else ""
        lines.append(f"classes: {', '.join(shares)}{more}; mean confidence {sure:.2f}")
    lines += _lines_by_class(report.get("by_class"))
    for name, scores in report.get("scores", {}).items():
        numbers = ", ".join(f"{metric} {value:.3f}" for metric, value in scores.items() if metric != "n")
        lines.append(f"{name}: {numbers} of {scores['n']} samples")
    for name, accuracy in report.get("accuracy", {}).items():
        mean, low, high = (100 * accuracy[key] for key in ("mean", "low", "high"))
        lines.append(f"accuracy, {name}: {mean:.1f} % [{low:.1f}, {high:.1f}] of {accuracy['n']} samples")
    lines += [f"{name}: {size:,} bytes" for name, size in report["files"].items()]
    lines += [f"{name}: outputs within {off:.1e} of torch's" for name, off in report["off_by"].items()]
    return "\n".join(lines)


def _lines_by_class(by_class: Mapping[str, Any] | None) -> list[str]:
    """Return how many samples of each class both networks have right; without labels, in how many they agree."""
    if by_class is None:
        return []
    labelled = by_class["labelled"]
    shown = (
        {"n": "samples", "full": "full", "personal": "personal"} if labelled else {"n": "full", "personal": "agreed"}
    )
    rows: list[tuple[str, ...]] = [("class", *shown.values(), "mostly taken for")]
    for each in by_class["classes"][:_MOST_CLASSES]:
        rows.append((each["name"], *(str(each[name]) for name in shown), each["mostly"]))
    left = len(by_class["classes"]) - _MOST_CLASSES
    more = [f"and {left} more classes"] if left > 0 else []
    heading = (
        "samples given of a class, and how many are right:"
        if labelled
        else "samples that the full network takes for a class, and how many the personal one takes so:"
    )
    return [heading, *align(rows), *more]


def _log_mel_columns(table: pd.DataFrame) -> dict[str, list[str]]:
    """Return columns on the part of log-mel in a latency, and the speed-up without it; none if no file hears."""
    rows: list[Any] = table.to_dict("records")
    parts = [tuple(row[name] for name in ("log_mel_ms", "median_ms", "network_speed_up")) for row in rows]
    hears = [(took, took / whole, speed_up) if took == took else None for took, whole, speed_up in parts]
    if not any(hears):
        return {}
    return {
        "log-mel": ["" if each is None else f"{each[0]:.3f} ms ({min(each[1], 1):.0%})" for each in hears],
        "speed-up without it": ["" if each is None else f"{each[2]:.2f}" for each in hears],
    }


def latency_as_text(table: pd.DataFrame, threads: int) -> str:
    """Write the table of `latency` as text, with a line per file and engine."""
    shown = pd.DataFrame(
        {
            "file": table["file"],
            "engine": table["engine"],
            "ms": table["median_ms"].map("{:.3f}".format),
            "quartiles": [
                f"[{low:.3f}, {high:.3f}]" for low, high in zip(table["low_ms"], table["high_ms"], strict=True)
            ],
            "speed-up": table["speed_up"].map("{:.2f}".format),
            **_log_mel_columns(table),
            "MACs": table["macs"].map("{:,}".format),
            "parameters": table["params"].map("{:,}".format),
            "bytes": ["" if pd.isna(size) else f"{size:,}" for size in table["bytes"]],
            "peak MiB": table["peak_mib"].map("{:.1f}".format),
        }
    )
    return f"One sample, {threads} thread{'s' * (threads > 1)}\n{shown.to_string(index=False)}"
