"""Archives for tests, and a local HTTP server that serves them."""

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np

from pppl.data.download import Archive

# Incompressible, and larger than the buffer of a socket.
CONTENT = np.random.default_rng(0).bytes(3_000_000)


@dataclass
class Server:
    """The state of a server that serves `files`.

    - `asked`: the Range header of every request so far, None if it had none.
    - `cut`: the number of bytes after which the next response breaks off, although its header promises all.
    - `ranges`: whether the server honours a Range.
    - `span`: a false Content-Range to send.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str | None] = field(default_factory=list)
    cut: int | None = None
    ranges: bool = True
    span: str | None = None

    def add(self, name: str, content: bytes = CONTENT) -> Archive:
        """Serve `content` under a name and return its URL and hash."""
        self.files[name] = content
        return Archive(url=f"{self.url}/{name}", hash=f"sha256:{hashlib.sha256(content).hexdigest()}")


@contextmanager
def serving() -> Iterator[Server]:
    """Run a server while the context is open."""
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers["Range"]
            state.asked.append(wanted)
            content = state.files.get(self.path[1:])
            if content is None:
                return self.send_error(404)
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and state.ranges else 0
            if start and start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                return self.end_headers()
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", state.span or f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - start))
            self.send_header("Content-Encoding", "gzip")  # as some servers send it for .tar.gz
            self.end_headers()
            cut, state.cut = state.cut, None
            self.wfile.write(content[start:] if cut is None else content[start : start + cut])

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state.url = f"http://127.0.0.1:{http.server_port}"
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        http.shutdown()
        thread.join()


def left(folder: Path) -> list[str]:
    """Return the sorted names of the files in a folder."""
    return sorted(path.name for path in folder.iterdir())


def packed_tar(**members: bytes | tarfile.TarInfo) -> bytes:
    """Return a .tar.gz archive; a member is its content, or a header without content such as a link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
            file.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return buffer.getvalue()


def packed_zip(**members: bytes) -> bytes:
    """Return a .zip archive with these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()
