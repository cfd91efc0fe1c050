"""What is asked for when a person's network is made."""

from dataclasses import dataclass
from typing import Any

from .limit import Limit


@dataclass(frozen=True, kw_only=True)
class DeployRequest:
    """The options of `personalize`.

    >>> DeployRequest(limit=Limit.parse("40kB"), classes="votes").settings
    {'classes.rule': 'votes', 'classes.cut': False}

    - `limit`: limit on the personal network's cost.
    - `method`: name of the method.
    - `formats`: names of the export formats.
    - `raw_audio`: whether exports take waveforms.
    - `round_to`: layers keep multiples of this many channels. With 0 the multiple is chosen by measuring.
    - `classes`: rule that estimates the person's class prior, to correct the classifier; empty for no correction.
    - `cut`: whether that correction removes the outputs of classes that the person does not use.
    """

    limit: Limit
    method: str = "ppp"
    formats: tuple[str, ...] = ("onnx",)
    raw_audio: bool = False
    round_to: int = 1
    classes: str = ""
    cut: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the experiment to replace, by dotted key."""
        return {"classes.rule": self.classes, "classes.cut": self.cut} if self.classes else {}
