"""The table of what masks tell."""

from pathlib import Path

import pandas as pd
import pytest

from pppl.report import leaks_of
from pppl.system.errors import UserError


def test_a_row_has_the_mean_over_seeds_its_interval_and_chance(tmp_path: Path):
    with pytest.raises(UserError, match=r"has no leak\.csv"):
        leaks_of([tmp_path], 0.1)
    pd.DataFrame({"dataset": ["my_words"], "method": ["full"]}).to_csv(tmp_path / "summary.csv", index=False)
    alike = {"persons": "person", "method": "ppp@sees", "tells": "person", "chance": 0.25}
    rows = [alike | {"seed": seed, "budget": 0.1, "score": 0.8 + 0.1 * seed, "among": 4 + seed} for seed in (0, 1)]
    rows += [{**rows[0], "budget": 0.25}, {**rows[0], "tells": "classes"}]
    pd.DataFrame(rows).to_csv(tmp_path / "leak.csv", index=False)
    _, _, first, second = leaks_of([tmp_path], 0.1).splitlines()
    assert first == "| my words, person | `ppp@sees` | 10% | person | 85.0 [21.5, 100.0] | 25.0 | 4 to 5 |"
    assert second == "| my words, person | `ppp@sees` | 10% | classes | 80.0 | 25.0 | 4 |"
