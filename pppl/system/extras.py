"""Packages that only some commands need, which `pip install pppl` leaves out."""

from types import TracebackType

from .errors import UserError, explain


def missing(what: str, package: str, extra: str) -> str:
    """Return one line on a package that is not installed, with the command that installs it.

    >>> missing("text", "transformers", "text")
    "text needs transformers: run `pip install 'pppl[text]'`"
    """
    return f"{what} needs {package}: run `pip install 'pppl[{extra}]'`"


class Needing:
    """A context in which packages of an extra are imported.

    ```python
    with Needing("an ONNX file", "deploy"):
        import onnx
    ```

    **Arguments:**

    - `what`: needs the packages, for the message.
    - `extra`: the extra that installs them.

    Raise `UserError`, which names the extra, if one is not installed.
    """

    def __init__(self, what: str, extra: str):
        self.what, self.extra = what, extra

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if isinstance(error, ImportError) and not explain(error):  # else memory was short
            package = (error.name or "a package").partition(".")[0]
            raise UserError(missing(self.what, package, self.extra)) from error
