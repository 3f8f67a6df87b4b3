"""The command as a person calls it, in this process and on the tests' session: what it prints, and its exit code."""

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest import mock


@dataclass(frozen=True)
class Said:
    """What a command said: its exit code, what it printed, its log."""

    code: int
    out: str
    log: str

    @property
    def lines(self) -> list[str]:
        """What it printed outside of tables."""
        return [line.rstrip() for line in self.out.splitlines() if line and line[0] not in "│┃┏┡└├"]

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The cells of every table, without the headers."""
        lines = [line for line in self.out.splitlines() if line.startswith("│")]
        return [tuple(cell.strip() for cell in line.strip("│").split("│")) for line in lines]

    def row(self, first: str) -> tuple[str, ...]:
        """The rest of the one row that begins so."""
        (found,) = (row for row in self.rows if row[0] == first)
        return found[1:]


def rfm_spark(spark, *arguments: object) -> Said:
    """Call the command with the arguments, its session being `spark` (None: it must not need one)."""
    from rfm_spark import cli, session

    def build(**_: object):
        assert spark is not None, "this command starts no JVM"
        return spark

    out, log = io.StringIO(), io.StringIO()
    cli.out.width = cli.log.width = 140  # as where the output is no terminal
    with mock.patch.object(session, "build", build), redirect_stdout(out), redirect_stderr(log):
        try:
            cli.main([str(argument) for argument in arguments])
        except SystemExit as ended:
            return Said(int(ended.code or 0), out.getvalue(), log.getvalue())
    raise AssertionError("the command ends the process with its exit code")
