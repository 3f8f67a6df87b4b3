"""The console that reports and the log are printed to."""

import sys

from rich.console import Console

WIDTH = 140  # where the output is no terminal


def console(*, stderr: bool = False) -> Console:
    """A console that prints text as it is: a bracket or a colon in somebody's data is no markup."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else WIDTH
    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)
