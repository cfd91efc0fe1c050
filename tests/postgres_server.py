"""A private PostgreSQL server on loopback, from Debian's package, that a test starts and stops."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest


class Server:
    """A PostgreSQL server with its data in a temporary folder. It has no password and listens only on 127.0.0.1."""

    def __init__(self) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
        if not found:
            pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
        # The server refuses to run as root, and the package's user, who can run it, cannot enter pytest's folder.
        self._folder = Path(tempfile.mkdtemp(prefix="pppl-postgres-"))
        self._bin, self._data = found[-1].parent, self._folder / "data"
        self._user = "postgres" if os.getuid() == 0 else None
        if self._user:
            shutil.chown(self._folder, self._user)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._call("initdb", "--auth=trust", "--username=me", "--no-sync", "-D", str(self._data))

    @property
    def url(self) -> str:
        """The URL of the default database."""
        return f"postgresql://me@127.0.0.1:{self.port}/postgres"

    def new_database(self, name: str) -> str:
        """Create an empty database and return its URL."""
        self._call("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "me", name)
        return self.url.removesuffix("postgres") + name

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._call("pg_ctl", "-D", str(self._data), "-w", "-o", options, "-l", str(self._data / "log"), "start")

    def stop(self) -> None:
        """Stop the server at once, even if clients are connected."""
        self._call("pg_ctl", "-D", str(self._data), "-m", "immediate", "stop")

    def remove(self) -> None:
        """Stop the server and delete its data."""
        if (self._data / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self._folder)

    def _call(self, name: str, *words: str) -> None:
        command = [str(self._bin / name), *words]
        subprocess.run(command, check=True, capture_output=True, user=self._user, cwd="/")
