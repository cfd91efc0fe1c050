"""Memory where the system hides it."""

import math
from pathlib import Path

import pytest

from pppl.system.errors import UserError
from pppl.system.memory import PeakMemory, resident_bytes


@pytest.mark.parametrize("hidden", ["clear_refs", "status", "lines of it"])
def test_what_a_container_hides_is_not_a_number(hidden: str, monkeypatch: pytest.MonkeyPatch):
    def refused(path: Path, *_: object) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    if hidden == "clear_refs":
        monkeypatch.setattr(Path, "write_text", refused)
    else:
        monkeypatch.setattr(Path, "write_text", lambda *_: 1)
        monkeypatch.setattr(Path, "read_text", refused if hidden == "status" else lambda _: "Name: python\n")
        with pytest.raises(UserError, match="memory can be measured"):
            resident_bytes("VmRSS")
    with PeakMemory() as memory:
        pass
    assert math.isnan(memory.bytes)
