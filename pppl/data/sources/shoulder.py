"""Shoulder exercises: 7 exercises by 10 subjects, 6 axes of a watch at 50 Hz (Burns et al. 2018), from seglearn.

The package seglearn stores them as a pickle. The unpickler here builds only arrays of numbers, lists and text.
"""

import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ...system.errors import UserError
from ...system.files import replacing
from ..catalogue import register_source
from ..npz import load_npz

# Windows of 2.56 s with an overlap of one half.
_WINDOW, _STEP = 128, 64
_FILE = "data/watch_dataset.npy"
_RECONSTRUCT: Any = np.empty(0).__reduce__()[0]  # numpy's own function; its module depends on the version


class _ArrayUnpickler(pickle.Unpickler):
    """An unpickler that builds arrays of numbers and built-in containers, and nothing else."""

    _ALLOWED: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
        ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
        ("_codecs", "encode"): lambda text, coding: text.encode("latin1") if coding == "latin1" else None,
    }

    def find_class(self, module: str, name: str) -> Any:
        """Return a class or function that the file may use. Raise `UnpicklingError` for any other one."""
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return self._ALLOWED[module, name]


def convert(package: Path, destination: Path) -> None:
    """Convert the recordings to windows of 128 steps, `(N, 6, 128)`, in the identity-dataset format.

    Values are rounded to half precision. Windows overlap by half, so no split may divide the windows of one recording:
    they have the same number in `recording`.

    **Arguments:**

    - `package`: folder of the installed package seglearn.

    Raise `UserError` if the folder does not hold these data.

    ```python
    convert(Path(seglearn.__file__).parent, data_folder() / "shoulder-exercises.npz")
    ```
    """
    source = package / _FILE
    try:
        with source.open("rb") as file:
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
            held = _ArrayUnpickler(file).load()
        # The file holds an array whose only element is a dictionary.
        tree: dict[str, Any] = held.item() if isinstance(held, np.ndarray) else held
        recordings = [np.asarray(each, np.float16).astype(np.float32) for each in tree["X"]]
        exercises, subjects = (np.asarray(tree[name], np.int64) for name in ("y", "subject"))
        names = [str(each) for each in tree["y_labels"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(f"{source} is not the data of seglearn 1.2.5 ({error}): pip install seglearn==1.2.5") from error
    starts = [range(0, len(each) - _WINDOW + 1, _STEP) for each in recordings]
    recording = np.repeat(np.arange(len(recordings)), [len(each) for each in starts])
    x = [each[at : at + _WINDOW].T for each, of in zip(recordings, starts, strict=True) for at in of]
    people, identity = np.unique(subjects[recording], return_inverse=True)
    with replacing(destination) as path, path.open("wb") as file:
        np.savez(
            file,
            x=np.stack(x),
            y=exercises[recording],
            classes=np.array(names),
            identity=identity.astype(np.int64),
            identities=np.array([f"subject{number:02d}" for number in people]),
            recording=recording,
        )


register_source(
    "shoulder_exercises",
    file="shoulder-exercises.npz",
    samples=3_605,
    size="11 MB",
    identities="10 subjects",
    licence="BSD-3 (Burns et al. 2018; in the package seglearn)",
    package="seglearn",
    convert=convert,
)(load_npz)
