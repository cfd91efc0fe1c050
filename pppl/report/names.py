"""Names of methods, their families and persons in prose and tables."""

from ..figures.looks import BUILT_IN, Looks
from ..figures.protocols import name_persons
from ..figures.retraining import training_label
from ..tables.rivals import chosen_by
from .table import TableRow

WHOLE = "not pruned"
TRAINED = "trained after pruning"
_CHOSEN = {"gates": "gates", "support": "by the person's samples", "everybody": "one network for everybody"}
_WHOLE_METHODS = {"full", "finetune", "diff", "diff_elementwise"}


def label_of(row: TableRow, looks: Looks = BUILT_IN) -> str:
    """Return the name of a method in the legends of figures.

    >>> label_of({"method": "ppp", "control": "own"})
    'PPP, own prototype'
    """
    return looks.look(str(row["method"]), str(row["control"])).label


def row_key(row: TableRow) -> str:
    """Return the name of a method in tables, with its control.

    >>> row_key({"method": "ppp", "control": "twin"})
    'ppp twin'
    """
    return f"{row['method']} {row['control']}".strip()


def family_of(row: TableRow) -> str:
    """Return the family of a method; families correspond to the rows of panels in figures."""
    base = str(row["method"]).split("+")[0].split("@")[0]
    if base in _WHOLE_METHODS:
        return WHOLE
    return TRAINED if training_label(row) > 0 else _CHOSEN[chosen_by(base)]


def yes_or_no(value: str) -> str:
    """Return yes or no for the True and False of tables; any other text stays.

    >>> yes_or_no("True"), yes_or_no("any")
    ('yes', 'any')
    """
    return {"True": "yes", "False": "no"}.get(value, value)


def protocol_of(row: TableRow, *, told: bool) -> str:
    """Return the name of a kind of persons, as in titles of panels.

    >>> protocol_of({"persons": "person+2 classes", "seen": "False"}, told=True)
    '2 classes of a person, unseen in training'

    **Arguments:**

    - `told`: whether the name says if persons were seen in training.
    """
    seen = {"True": ", seen in training", "False": ", unseen in training"}.get(str(row["seen"]), "")
    return name_persons(str(row["persons"]), row) + seen * told
