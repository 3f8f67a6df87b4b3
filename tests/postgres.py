"""A real PostgreSQL for tests: of this machine's package, on loopback, in a folder that goes with it."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

USER, PASSWORD, VARIABLE = "shopkeeper", "s3cret-Of-Tests", "RFM_SPARK_TEST_PASSWORD"
_STARTED = "listen_addresses=127.0.0.1 port={} unix_socket_directories='' fsync=off max_connections=50"


@dataclass(frozen=True)
class Server:
    """A running server, whose one user has to give a password."""

    port: int

    @property
    def url(self) -> str:
        """As a project file has it."""
        return f"jdbc:postgresql://127.0.0.1:{self.port}/postgres"

    @property
    def source(self) -> dict[str, Any]:
        """What a source in it says of how it is reached."""
        return {"format": "jdbc", "url": self.url, "user": USER, "password": {"env": VARIABLE}}

    def do(self, *statements: str) -> list[tuple]:
        """Run statements in one transaction; gives the rows of the last one, where it has any."""
        import psycopg

        address = f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/postgres"
        with psycopg.connect(address) as connection:
            for statement in statements:
                done = connection.execute(statement)
            return done.fetchall() if done.description else []


@contextmanager
def running() -> Iterator[Server]:
    """Start one, and stop it. A machine without it skips the test and says so."""
    programs = _programs()
    if programs is None:
        pytest.skip("no PostgreSQL on this machine: install Debian's package postgresql")
    folder = Path(tempfile.mkdtemp(prefix="rfm_spark-postgres-"))
    as_other = {}
    if os.geteuid() == 0:  # as root it does not start
        owner = pwd.getpwnam("postgres")
        as_other = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    data, secret = folder / "data", folder / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)

    def call(program: str, *arguments: str) -> None:
        command = [str(programs / program), "-D", str(data), *arguments]
        done = subprocess.run(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=False,
            cwd=folder,
            **as_other,
        )
        assert done.returncode == 0, f"{program} ended with {done.returncode}"

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    try:
        call(
            "initdb", "-U", USER, "--auth=scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--locale=C", "--no-sync"
        )
        settings = [f"-c {setting}" for setting in _STARTED.format(port).split()]
        call("pg_ctl", "-w", "-l", str(folder / "log"), "-o", " ".join(settings), "start")
        try:
            with mock.patch.dict(os.environ, {VARIABLE: PASSWORD}):
                yield Server(port)
        finally:
            call("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    """The folder of its programs; Debian's are not on the PATH."""
    found = shutil.which("pg_ctl")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists() and (place / "pg_ctl").exists()), None)
