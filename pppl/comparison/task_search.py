"""The search for the learning rate of each way to adapt, on validation examples."""

import math
from collections.abc import Iterable
from itertools import product

from ..config import TextExperiment
from ..system.tracking import notice
from ..tables.journal import Journal
from ..tables.provenance import Stamp
from ..text.text_methods import TEXT_METHODS
from .task_units import TaskRun


class RateSearch:
    """The learning rates that an experiment tries with its first seed, and the best of them.

    Several `search_tasks` are searched together, by their mean score; without any, each task is searched by itself.

    **Arguments:**

    - `journal`: the finished runs.
    - `stamps`: the stamp of each task and method.
    """

    def __init__(self, experiment: TextExperiment, journal: Journal, stamps: dict[tuple[str, str], Stamp]):
        self.experiment, self.journal, self.stamps = experiment, journal, stamps

    def runs(self) -> list[TaskRun]:
        """Return a run for each learning rate to try, as far as they are known by now."""
        return [
            self.run(task, method, factor, self.experiment.seeds[0])
            for task in self.experiment.search_tasks or self.experiment.tasks
            for method in self.experiment.methods
            for factor in self.factors(task, method)
        ]

    def chosen(self) -> list[TaskRun]:
        """Return a run for each seed with the best learning rate; the first of equals."""
        return [
            self.run(task, method, self._best_factor(task, method), seed)
            for seed in self.experiment.seeds
            for task in self.experiment.tasks
            for method in self.experiment.methods
        ]

    def factors(self, task: str, method: str) -> list[float]:
        """Return the multiples to try: `search`, and more beyond it if the best one is at its end."""
        factors = list(self.experiment.search)
        for _ in range(self.experiment.beyond if len(factors) > 2 else 0):
            ordered = sorted(factors)
            scores = [self._validation(task, method, factor) for factor in ordered]
            known = [score for score in scores if score is not None]
            if len(known) < len(ordered):
                break
            for end, neighbour in ((0, 1), (-1, -2)):
                if known[end] == max(known):
                    factors.append(ordered[end] ** 2 / ordered[neighbour])
                    break
        return factors

    def run(self, task: str, method: str, factor: float, seed: int) -> TaskRun:
        """Return the run of a method's learning rate times `factor`."""
        return TaskRun(
            experiment=self.experiment,
            task=task,
            method=method,
            learning_rate=float(f"{TEXT_METHODS[method].learning_rate * factor:.6g}"),
            seed=seed,
            folder=self.journal.path.parent,
            fingerprint=self.stamps[task, method],
        )

    def report_ends(self) -> None:
        """Report the methods whose best learning rate is the smallest or the largest of three or more."""
        together = self.experiment.search_tasks
        for task, method in product(self.experiment.tasks[: 1 if together else None], self.experiment.methods):
            best, tried = self._best_factor(task, method), self.factors(task, method)
            if len(tried) > 2 and best in (min(tried), max(tried)):
                where = ", ".join(together or (task,))
                notice(f"{method} on {where}: the best learning rate is an end of those tried, {best:g} times its own")

    def missing(self, runs: Iterable[TaskRun]) -> list[TaskRun]:
        """Return the runs without a row."""
        return [run for run in runs if not self.journal.has(run.keys)]

    def _best_factor(self, task: str, method: str) -> float:
        """Return the multiple with the best validation score."""

        def score(factor: float) -> float:
            validation = self._validation(task, method, factor)
            return -math.inf if validation is None else validation

        return max(self.factors(task, method), key=score)

    def _validation(self, task: str, method: str, factor: float) -> float | None:
        """Return the mean score over the tasks that are searched together; None if one is not computed yet."""
        tasks, first = self.experiment.search_tasks or (task,), self.experiment.seeds[0]
        keys = [key for each in tasks for key in self.run(each, method, factor, first).keys]
        if not self.journal.has(keys):
            return None
        mean = sum(self.journal.rows[key]["validation"] for key in keys) / len(keys)
        return -math.inf if math.isnan(mean) else mean
