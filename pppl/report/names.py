"""What methods, their families and persons are called in prose and tables."""

from ..figures.families import chosen_by
from ..figures.looks import look, task_look
from ..figures.retraining import training_label
from .table import TableRow

WHOLE = "not pruned"
TRAINED = "trained after pruning"
_CHOSEN = {"gates": "gates", "support": "by the person's samples", "everybody": "one network for everybody"}
_WHOLE_METHODS = {"full", "finetune", "diff", "diff_elementwise"}


def label_of(row: TableRow) -> str:
    """A method as the figures' legends call it."""
    return look(str(row["method"]), str(row["control"])).label


def label_task(method: str) -> str:
    """A way to adapt an encoder as the figures call it."""
    return task_look(method)[0]


def row_key(row: TableRow) -> str:
    """A method as the tables call it, with its control."""
    return f"{row['method']} {row['control']}".strip()


def family_of(row: TableRow) -> str:
    """What a method has in common with others, as rows of figures have."""
    base = str(row["method"]).split("+")[0].split("@")[0]
    if base in _WHOLE_METHODS:
        return WHOLE
    return TRAINED if training_label(row) > 0 else _CHOSEN[chosen_by(base)]


def yes_or_no(value: str) -> str:
    """True and False as tables have them; anything else stays."""
    return {"True": "yes", "False": "no"}.get(value, value)


def protocol_of(row: TableRow, *, told: bool) -> str:
    """Who the persons are, as titles of panels say; `told` where some were seen in training and others were not."""
    persons = str(row["persons"])
    own = persons.removeprefix("person+")
    name = (
        "all classes of a person"
        if own == "person"
        else f"persons of {own}"
        if own == persons
        else f"{own} of a person"
    )
    seen = {"True": ", seen in training", "False": ", unseen in training"}.get(str(row["seen"]), "")
    return name + seen * told
