"""Progress: a moving line on a terminal, one line a stage elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from rfm_spark.pipelines.run_record import Stage


class Progress:
    """Reports each stage of a run with its rows and seconds; call it with the stage's name."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def __call__(self, name: str) -> Iterator[Stage]:
        """Report one stage: what it is while it runs, its rows and seconds when it has ended."""
        stage, started = Stage(), time.monotonic()
        if self._console.is_terminal:
            with self._console.status(f"{name} …"):
                yield stage
        else:
            yield stage
        seconds = time.monotonic() - started
        rows = f"{stage.rows:>12,} rows" if stage.rows is not None else " " * 17
        self._console.print(f"{name:<12}{rows} {seconds:>7.1f} s")
