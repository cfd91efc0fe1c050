import subprocess
import sys
from pathlib import Path

import ddp_script
import pytest
import torch


@pytest.mark.slow
def test_two_processes_learn_the_same_prototypes_as_one(tmp_path: Path):
    """Rates and prototypes are taken over the whole batch, gates gathered with their gradients across processes."""
    ddp_script.main(1, tmp_path)
    command = [sys.executable, ddp_script.__file__, "2", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    one, two = (torch.load(tmp_path / f"{n}.pt", weights_only=True) for n in (1, 2))
    assert (one["after"] - one["before"]).abs().max() > 0.01, "nothing was learnt"
    assert torch.allclose(one["after"], two["after"], rtol=0, atol=1e-9)
    # Logged losses are rank 0's; the task's is over its half of each batch, the others are over all of it.
    for name in ("train_target_epoch", "train_prototype_epoch", "train_target", "train_prototype"):
        if name in one["metrics"]:
            assert two["metrics"][name] == pytest.approx(one["metrics"][name], abs=1e-5)
    assert {"train_target", "train_prototype"} <= one["metrics"].keys()
