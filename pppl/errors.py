"""Errors meant for people: one line that names the thing and what to do about it."""

import difflib
from collections.abc import Iterable

# Longer lists are left out of a message that already names the nearest.
_LISTED = 12


class UserError(ValueError):
    """Bad input. The command line prints the message as one line and exits with `exit_code`."""

    exit_code = 2


class Differs(UserError):
    """What was computed anew is not what a table has."""

    exit_code = 1


class Diverged(UserError):
    """Training whose gradients or outputs are no longer finite."""

    def __init__(self, what: str):
        super().__init__(f"{what} are not finite: lower the learning rate")


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """An error for a name that is not in `known`, with the nearest one that is.

    **Arguments:**

    - `kind`: what the name stands for, such as `"method"`.
    - `name`: what the user wrote.
    - `known`: every valid name.
    """
    names = sorted(known)
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    parts = [f"did you mean {nearest[0]!r}?"] if nearest else []
    if len(names) <= _LISTED or not nearest:
        parts.append(f"known: {', '.join(names)}")
    return UserError(f"unknown {kind} {name!r}: {' '.join(parts)}")
