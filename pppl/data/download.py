"""Downloads of published archives: continued where they stopped, and refused where their hash is another."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..system import progress
from ..system.errors import UserError

if TYPE_CHECKING:
    from requests import Response

_CHUNK = 1 << 20
_PART = ".pppl-part"  # `.part` is what browsers leave, whose files stay
_TIMEOUT = (10, 60)  # seconds to connect, and between two chunks


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A published file.

    - `url`: where it is; ends in the file's name.
    - `hash`: of the whole file, `md5:...` or `sha256:...`.
    """

    url: str
    hash: str

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[1]


def fetch(archive: Archive, folder: Path) -> Path:
    """Path of the archive in `folder`, where a file that somebody put there by hand is as good as a download.

    What an interrupted download left, `<name>.pppl-part`, is continued. Raises `UserError` where the file cannot be
    downloaded, or does not have the hash; such a download is deleted, a file put there by hand is not.
    """
    import pooch
    import requests
    import urllib3

    path = folder / archive.name
    pooch.get_logger().setLevel("WARNING")  # the progress bar says as much
    if path.exists():
        algorithm, expected = archive.hash.split(":")
        found = pooch.file_hash(str(path), alg=algorithm)
        if found != expected:
            raise UserError(
                f"{path} is not the published file (expected {archive.hash}, found {found}): remove it and run the "
                f"same command again, or put the right one there"
            )
        return path
    # Pooch's type for downloaders has other names than its documentation and its calls.
    downloader: Any = _Resuming(path)
    try:
        pooch.retrieve(archive.url, archive.hash, fname=archive.name, path=folder, downloader=downloader)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise UserError(
            f"cannot download {archive.url} ({_reason(error)}): run the same command again, which goes on from what "
            f"has arrived, or put the file at {path}"
        ) from error
    except ValueError as error:  # pooch's, on a wrong hash: names file, expected and found hash
        raise UserError(f"{error} Run the same command again, or put the right file at {path}") from error
    return path


def _reason(error: Exception) -> str:
    """What went wrong in a few words: the status, or the kind of error, whose own text is many lines of causes."""
    response = getattr(error, "response", None)
    return type(error).__name__ if response is None else f"{response.status_code} {response.reason}"


class _Resuming:
    """Downloads for pooch by way of `<name>.pppl-part`, which outlives an interruption and is continued."""

    def __init__(self, path: Path):
        self.part = path.with_name(f"{path.name}{_PART}")

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        while not self._complete(url):
            self.part.unlink()
        self.part.replace(output_file)

    def _complete(self, url: str) -> bool:
        """Asks for what is missing, and writes it. False where the server cannot continue this part."""
        import requests

        have = self.part.stat().st_size if self.part.exists() else 0
        # Some servers call a .tar.gz a gzip-encoded .tar; what is hashed is the file as it is, so nothing is decoded.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            span = response.headers.get("Content-Range", "")
            if have and response.status_code == 416:  # nothing is left to send, or the part is of another file
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
