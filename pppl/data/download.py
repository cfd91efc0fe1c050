"""Downloads of published archives. They continue after an interruption, and files with a wrong hash are rejected."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..system import progress
from ..system.errors import UserError

if TYPE_CHECKING:
    from requests import Response

_CHUNK = 1 << 20
_PART = ".pppl-part"  # not `.part`, which browsers use: their files are not touched
_TIMEOUT = (10, 60)  # seconds to connect, and between two chunks


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A published file.

    - `url`: address, which ends in the file's name.
    - `hash`: hash of the whole file, `md5:...` or `sha256:...`.

    >>> Archive(url="https://example.org/omniglot.zip", hash="md5:68d2efa1b9178cc56df9314c21c6e718").name
    'omniglot.zip'
    """

    url: str
    hash: str

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.url.rsplit("/", 1)[1]


def fetch(archive: Archive, folder: Path) -> Path:
    """Download an archive into `folder` unless it is there already. Return its path.

    A file that was put there by hand is accepted like a download. A partial download, `<name>.pppl-part`, is continued.

    Raise `UserError` if the file cannot be downloaded or has the wrong hash. In the second case a download is deleted,
    but a file that was there before is kept.
    """
    import pooch
    import requests
    import urllib3

    path = folder / archive.name
    if path.exists():
        algorithm, expected = archive.hash.split(":")
        found = pooch.file_hash(str(path), alg=algorithm)
        if found != expected:
            raise UserError(
                f"{path} is not the published file (expected {archive.hash}, found {found}): remove it and run the "
                f"same command again, or replace it by the published file"
            )
        return path
    # Pooch's type of a downloader has other parameter names than its documentation and its calls.
    downloader: Any = _Resuming(path)
    try:
        # The progress bar is enough.
        with progress.quieter(pooch.get_logger(), logging.WARNING):
            pooch.retrieve(archive.url, archive.hash, fname=archive.name, path=folder, downloader=downloader)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise UserError(
            f"cannot download {archive.url} ({_reason(error)}): run the same command again to continue the download, "
            f"or put the file at {path}"
        ) from error
    except ValueError as error:  # wrong hash: pooch's message names the file, the expected and the found hash
        raise UserError(f"{error} Run the same command again, or put the right file at {path}") from error
    return path


def _reason(error: Exception) -> str:
    """Return the cause in a few words: the HTTP status, or the type of the error, since its text has many lines."""
    response = getattr(error, "response", None)
    return type(error).__name__ if response is None else f"{response.status_code} {response.reason}"


class _Resuming:
    """A downloader for pooch. It writes to `<name>.pppl-part`, which a later download continues."""

    def __init__(self, path: Path):
        self.part = path.with_name(f"{path.name}{_PART}")

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        while not self._complete(url):
            self.part.unlink()
        self.part.replace(output_file)

    def _complete(self, url: str) -> bool:
        """Request the missing bytes and write them. Return False if the server cannot continue this part."""
        import requests

        have = self.part.stat().st_size if self.part.exists() else 0
        # Some servers label a .tar.gz as a gzip-encoded .tar. Nothing is decoded, since the hash is of the .tar.gz.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            span = response.headers.get("Content-Range", "")
            if have and response.status_code == 416:  # nothing is left to send, or the part belongs to another file
                return span == f"bytes */{have}"
            response.raise_for_status()
            if response.status_code == 206 and not span.startswith(f"bytes {have}-"):
                return False
            self._write(response, have if response.status_code == 206 else 0)
        return True

    def _write(self, response: "Response", start: int) -> None:
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        with (
            self.part.open("ab" if start else "wb") as file,
            progress.bar(
                total=total, initial=start, desc=self.part.stem, unit="B", unit_scale=True, leave=False
            ) as bar,
        ):
            for chunk in response.raw.stream(_CHUNK, decode_content=False):
                file.write(chunk)
                bar.update(len(chunk))
