"""`TextExperiment`: the settings that determine a comparison of ways to adapt one encoder to many tasks."""

from dataclasses import dataclass, field
from typing import Literal

from ..system.errors import unknown
from .tree import Tree, expand_paths, require


@dataclass(frozen=True, kw_only=True)
class TextDiffSettings:
    """The settings of diff pruning of an encoder (Guo, Rush, Kim, ACL 2021), with or without a gate per tensor.

    - `first_share`: the fraction of all steps in the first stage, which chooses the values that differ. The second
      stage trains the chosen values. `magnitude_mask` has both stages, too.
    - `first_rate`: the learning rate of the first stage, as a fraction of that of the second stage. It is smaller since
      the first stage moves all values.
    - `gates_way`: the largest distance that the first stage can move a gate's log_alpha. It starts at 5, and below 0
      the gate is closed. (The paper's code has a learning rate of 0.1 for any number of steps.)
    - `penalty`: lambda, the price of one difference.
    - `groups`: how the penalty counts the gates of tensors, see `RelaxedDiff`. `product` follows the paper.
    - `ranking`: the score by which the projection to `rate` ranks differences. `open` is P(z > 0) |w|, which still
      ranks differences with closed gates. `gated` is |z w| with gates without noise, as in the paper.
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
class TextColumns:
    """The columns of tables of texts: CSV or Parquet files. Case and spaces of names do not matter.

    - `text`: the text of each row.
    - `text2`: the second sentence of a pair, if there is such a column.
    - `label`: the class of each row.
    - `split`: `train`, `validation` or `test`, if there is such a column.
    """

    text: str = "text"
    text2: str = "text2"
    label: str = "label"
    split: str = "split"

    def __post_init__(self) -> None:
        names = [" ".join(name.split()).casefold() for name in vars(self).values()]
        twice = next((name for name in names if names.count(name) > 1), "")
        require(not twice, f"columns names {twice!r} twice: a column has one meaning")


@dataclass(frozen=True, kw_only=True)
class TextExperiment(Tree):
    """One encoder, adapted to each task by each method.

    >>> TextExperiment(tasks=("moods.csv",), methods=("full", "diff")).replace(epochs=2).epochs
    2

    - `name`: of the results folder and of W&B's group.
    - `encoder`: `minilm-l6`, a folder, or a model of the Hugging Face hub.
    - `tasks`: names such as `glue/CoLA`, `clinc150` or `clinc150/banking`, or paths of CSV or Parquet files.
    - `columns`: the columns of these files.
    - `methods`: names of registered text methods (`register_text_method`).
    - `rate`: the fraction of the encoder's values that a sparse or low-rank method may store for a task.
    - `epochs`: passes over a task's examples, for every method; both stages of methods that have two are in them.
    - `batch_size`: examples in a batch, for every method.
    - `epochs_of`: by name, the epochs of tasks that need another number.
    - `precision`: the precision of training, as Lightning names it. Evaluation uses 32 bits.
    - `compiled`: whether `torch.compile` fuses the passes of diff pruning. This is faster, and needs a C++ compiler.
    - `head_rate`: the learning rate of the head, which every method trains.
    - `diff`: the settings of diff pruning.
    - `search`: learning rates to try, as multiples of a method's own. The first seed runs all of them on
      `search_tasks`. The one with the best mean score on their validation examples is used on all tasks with all seeds.
    - `search_tasks`: the tasks that choose the learning rate for all. Empty: each task chooses its own.
    - `beyond`: how many further learning rates a search may try, one by one, while the best one is the smallest or the
      largest. A `search` with fewer than three is never extended.
    - `examples`: the largest number of examples in each split of a task. 0: all.
    - `seeds`: the seeds of the head, the order of examples, and the gates.
    - `plugins`: modules, or paths of Python files, that register text methods.

    Raise `UserError` if a value is out of its range.

    >>> TextExperiment(epochs_of={"glue/RTE": 5}).epochs_on("glue/RTE")
    5
    """

    name: str = "tasks"
    encoder: str = "minilm-l6"
    tasks: tuple[str, ...] = ("glue/CoLA", "glue/MRPC", "glue/RTE", "clinc150")
    columns: TextColumns = field(default_factory=TextColumns)
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
    plugins: tuple[str, ...] = ()

    def epochs_on(self, task: str) -> int:
        """Return the number of epochs of every method on a task."""
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
        require(
            len(set(self.search_tasks)) == len(self.search_tasks), "search_tasks names a task twice: name each once"
        )
        self.check_lists("tasks", "methods", "search", "seeds")
