"""`TaskExperiment`: everything that determines a comparison of ways to give one encoder many tasks."""

from dataclasses import dataclass
from typing import Literal

from .tree import Tree, require


@dataclass(frozen=True, kw_only=True)
class TaskExperiment(Tree):
    """One encoder, adapted to each task by each method.

    - `encoder`: `minilm-l6`, a folder, or a model of the Hugging Face hub.
    - `tasks`: `glue/CoLA`, `clinc150`, `clinc150/banking` and the like, or CSV files.
    - `methods`: names in `METHODS` of `pppl.text.methods`.
    - `rate`: fraction of the encoder's values that a sparse or low-rank method has for itself.
    - `epochs`, `batch_size`: of every method, both stages together where it has two.
    - `precision`: of training, as Lightning names it; evaluation has 32 bits.
    - `compiled`: whether `torch.compile` fuses the passes of diff pruning: faster, and needs a C++ compiler.
    - `head_rate`: learning rate of the head, which every method trains.
    - `search`: multiples of a method's own learning rate. The first seed runs all of them; for each task and method the
      best on its validation examples is what the other seeds run.
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
    batch_size: int = 16
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    compiled: bool = False
    head_rate: float = 1e-3
    search: tuple[float, ...] = (0.3, 1.0, 3.0)
    examples: int = 0
    seeds: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        require(0 < self.rate <= 1, f"rate is {self.rate}: a fraction in (0, 1]")
        require(self.epochs >= 2, f"epochs is {self.epochs}: at least 2, since some methods have two stages")
        require(self.batch_size >= 1, f"batch_size is {self.batch_size}: at least 1")
        require(self.head_rate > 0, f"head_rate is {self.head_rate}: more than 0")
        require(min(self.search, default=1) > 0, f"search is {list(self.search)}: each more than 0")
        require(self.examples >= 0 and self.examples != 1, f"examples is {self.examples}: 0 (all) or at least 2")
        self.check_lists("tasks", "methods", "search", "seeds")
