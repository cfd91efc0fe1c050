"""`TextExperiment`: everything that determines a comparison of ways to give one encoder many tasks."""

from dataclasses import dataclass, field
from typing import Literal

from ..system.errors import unknown
from .tree import Tree, expand_paths, require


@dataclass(frozen=True, kw_only=True)
class TextDiffSettings:
    """Diff pruning of an encoder (Guo, Rush, Kim, ACL 2021), with a gate per tensor or without.

    - `first_share`: of all steps, how many choose what differs; those left train the chosen. `first_rate`: the learning
      rate meanwhile, as a fraction of the other's, since it moves everything. `magnitude_mask` has both, too.
    - `gates_way`: how far those steps can move a gate's log_alpha, which begins at 5; below 0 it is closed. (The
      paper's code has a rate of 0.1 for as many steps as there are.)
    - `penalty`: lambda, the price of one difference.
    - `groups`: what is priced of the gates of tensors, see `RelaxedDiff`; `product` is the paper's.
    - `ranking`: what the projection to the rate keeps most of: `open`, P(z > 0) |w|, which still tells apart what gates
      have closed, or `gated`, |z w| with the gates without noise, which is the paper's.
    """

    first_share: float = 0.2
    first_rate: float = 0.1
    gates_way: float = 12.0
    penalty: float = 1.25e-7
    groups: Literal["product", "sum"] = "sum"
    ranking: Literal["open", "gated"] = "open"

    def __post_init__(self) -> None:
        require(0 < self.first_share < 1, f"diff.first_share is {self.first_share}: in (0, 1)")
        require(self.penalty >= 0, f"diff.penalty is {self.penalty}: 0 or more")
        for name in ("first_rate", "gates_way"):
            require(getattr(self, name) > 0, f"diff.{name} is {getattr(self, name)}: more than 0")


@dataclass(frozen=True, kw_only=True)
class TextExperiment(Tree):
    """One encoder, adapted to each task by each method.

    >>> TextExperiment(tasks=("moods.csv",), methods=("full", "diff")).replace(epochs=2).epochs
    2

    - `encoder`: `minilm-l6`, a folder, or a model of the Hugging Face hub.
    - `tasks`: `glue/CoLA`, `clinc150`, `clinc150/banking` and the like, or CSV files.
    - `methods`: names in `METHODS` of `pppl.text.text_methods`.
    - `rate`: fraction of the encoder's values that a sparse or low-rank method has for itself.
    - `epochs`, `batch_size`: of every method, both stages together where it has two. `epochs_of`: of tasks that need
      another number, by name.
    - `precision`: of training, as Lightning names it; evaluation has 32 bits.
    - `compiled`: whether `torch.compile` fuses the passes of diff pruning: faster, and needs a C++ compiler.
    - `head_rate`: learning rate of the head, which every method trains.
    - `diff`: of diff pruning.
    - `search`: multiples of a method's own learning rate. The first seed runs all of them on `search_tasks`; what has
      the best mean score on their validation examples is run on all tasks with all seeds. Without `search_tasks` each
      task chooses for itself.
    - `beyond`: how often the search goes on beyond its end, for methods whose best learning rate lies there.
    - `examples`: of each split of a task, at most; 0 for all.
    - `seeds`: of head, order and gates.

    Raises `UserError` where a value is out of its range.
    """

    name: str = "tasks"
    encoder: str = "minilm-l6"
    tasks: tuple[str, ...] = ("glue/CoLA", "glue/MRPC", "glue/RTE", "clinc150")
    methods: tuple[str, ...] = (
        *("full", "last_layer", "bias_norm", "lora", "shira"),
        *("gradient_mask", "fisher_mask", "magnitude_mask", "diff_elementwise", "diff"),
    )
    rate: float = 0.005
    epochs: int = 3
    epochs_of: dict[str, int] = field(default_factory=dict)
    batch_size: int = 16
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    compiled: bool = False
    head_rate: float = 1e-3
    diff: TextDiffSettings = field(default_factory=TextDiffSettings)
    search: tuple[float, ...] = (0.3, 1.0, 3.0)
    search_tasks: tuple[str, ...] = ()
    beyond: int = 1
    examples: int = 0
    seeds: tuple[int, ...] = (0, 1, 2)

    def epochs_on(self, task: str) -> int:
        """How many epochs every method gets on a task."""
        return self.epochs_of.get(task, self.epochs)

    def __post_init__(self) -> None:
        expand_paths(self, "encoder", "tasks", "search_tasks", "epochs_of")
        require(0 < self.rate <= 1, f"rate is {self.rate}: a fraction in (0, 1]")
        for task, epochs in {"": self.epochs, **self.epochs_of}.items():
            name = f"epochs_of.{task}" if task else "epochs"
            require(epochs >= 1, f"{name} is {epochs}: at least 1")
        for task in self.search_tasks:
            if task not in self.tasks:
                raise unknown("task in search_tasks", task, self.tasks)
        require(self.batch_size >= 1, f"batch_size is {self.batch_size}: at least 1")
        require(self.head_rate > 0, f"head_rate is {self.head_rate}: more than 0")
        require(min(self.search, default=1) > 0, f"search is {list(self.search)}: each more than 0")
        require(self.beyond >= 0, f"beyond is {self.beyond}: 0 or more")
        require(self.examples >= 0 and self.examples != 1, f"examples is {self.examples}: 0 (all) or at least 2")
        require(len(set(self.search_tasks)) == len(self.search_tasks), "search_tasks names a task twice")
        self.check_lists("tasks", "methods", "search", "seeds")
