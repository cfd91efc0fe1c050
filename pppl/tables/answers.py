"""The answers to an experiment's questions as paired differences: `answers.csv`."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from .metric import metric_of
from .summary import PROTOCOL, count_people, interval_columns, iterate_groups, mean_of, test_differences, with_holm

ANSWERS = "answers.csv"
_PERSON = ["seed", "identity"]


def answers(table: pd.DataFrame, questions: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return `answers.csv`: for each question, group of persons and budget, one method minus another on these persons.

    `difference` is the mean paired difference in score over persons and seeds, with its interval and `wilcoxon_p`.
    `holm_p` is that p-value corrected for a family of `holm_tests` tests: all questions about the same persons at one
    budget. The scores of both methods are given, too. A method that does not prune is compared at each budget of
    the other.

    **Arguments:**

    - `table`: the rows of `table.csv.gz`. Rows of controls, with samples other than the person's own, do not count.
    - `questions`: by name, a method and the method that it is compared with.

    ```python
    answers(table, {"what the person's classes bring": ["full+classes", "full"]})
    ```
    """
    own, metric = table.query("control in ('', 'own')"), metric_of(table)
    rows = []
    for key, persons in iterate_groups(own, PROTOCOL):
        for question, (method, against) in questions.items():
            one, other = (persons.loc[persons["method"] == name] for name in (method, against))
            for budget, pairs in _pairs(one, other):
                row: dict[str, Any] = key | {
                    "question": question,
                    "method": method,
                    "against": against,
                    "budget": budget,
                }
                row |= count_people(pairs) | mean_of("score", pairs, metric.limits)
                row["score_against"] = pairs["score_against"].to_numpy(float).mean()
                difference = pairs.assign(score=pairs["score"] - pairs["score_against"])
                rows.append(row | test_differences("difference", difference, metric))
    measured = [
        "metric",
        "n",
        "people",
        *interval_columns("score"),
        "score_against",
        *interval_columns("difference"),
        "wilcoxon_p",
    ]
    columns = [*PROTOCOL, "question", "method", "against", "budget", *measured]
    return with_holm(pd.DataFrame(rows, columns=columns).assign(metric=metric.name), [*PROTOCOL, "budget"])


def _pairs(one: pd.DataFrame, other: pd.DataFrame) -> list[tuple[float, pd.DataFrame]]:
    """Return the rows of `one` with the score of the same person under `other`, for each budget."""
    scores_against = other.loc[:, [*_PERSON, "budget"]].assign(score_against=other["score"])
    prunes = [bool((each["budget"] < 1).any()) for each in (one, other)]
    if all(prunes) or not any(prunes):
        pairs = one.merge(scores_against, on=[*_PERSON, "budget"])
    elif prunes[0]:
        pairs = one.merge(scores_against.drop(columns="budget"), on=_PERSON)
    else:
        pairs = one.drop(columns="budget").merge(scores_against, on=_PERSON)
    return [(float(budget), each) for budget, each in pairs.groupby("budget")]  # pyright: ignore[reportArgumentType]
