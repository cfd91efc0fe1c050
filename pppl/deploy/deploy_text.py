"""Short texts about the results of personalizing and timing."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

_MOST_GROUPS = 8


def deployment_as_text(report: Mapping[str, Any]) -> str:
    """Write the report of `personalize` as text: costs, channels kept, class prior, accuracies and files."""
    lines = [f"{report['method']} within {report['limit']}; {report['rounding']['reason']}"]
    for name, label in (("macs", "MACs"), ("params", "parameters")):
        own, full = report[name]["personal"], report[name]["full"]
        lines.append(f"{label:<11} {own:>13,} of {full:,} ({own / full:.1%})")
    kept = [f"{name} {own}/{whole}" for name, (own, whole) in report["kept"].items()]
    more = f" and {len(kept) - _MOST_GROUPS} more layers" if len(kept) > _MOST_GROUPS else ""
    lines.append(f"channels kept: {', '.join(kept[:_MOST_GROUPS])}{more}")
    if "classes" in report:
        prior, sure = report["classes"]["prior"], report["classes"]["confidence"]
        shares = [f"{name} {share:.2f}" for name, share in prior.items()][:_MOST_GROUPS]
        more = f" and {len(prior) - _MOST_GROUPS} more" if len(prior) > _MOST_GROUPS else ""
        lines.append(f"classes: {', '.join(shares)}{more}; mean confidence {sure:.2f}")
    for name, scores in report.get("scores", {}).items():
        numbers = ", ".join(f"{metric} {value:.3f}" for metric, value in scores.items() if metric != "n")
        lines.append(f"{name}: {numbers} of {scores['n']} samples")
    for name, accuracy in report.get("accuracy", {}).items():
        mean, low, high = (100 * accuracy[key] for key in ("mean", "low", "high"))
        lines.append(f"accuracy, {name}: {mean:.1f} % [{low:.1f}, {high:.1f}] of {accuracy['n']} samples")
    lines += [f"{name}: {size:,} bytes" for name, size in report["files"].items()]
    lines += [f"{name}: outputs within {off:.1e} of torch's" for name, off in report["off_by"].items()]
    return "\n".join(lines)


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
            "MACs": table["macs"].map("{:,}".format),
            "parameters": table["params"].map("{:,}".format),
            "bytes": ["" if pd.isna(size) else f"{size:,}" for size in table["bytes"]],
            "peak MiB": table["peak_mib"].map("{:.1f}".format),
        }
    )
    return f"One sample, {threads} thread{'s' * (threads > 1)}\n{shown.to_string(index=False)}"
