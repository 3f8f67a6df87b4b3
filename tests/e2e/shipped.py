"""The shipped projects, each run as it is in a copy of its folder, once for all tests."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from settings import ENGINE, TEST_SETTINGS

ROOT = Path(__file__).parents[2]
AS_OF = {
    "cdnow": date(1998, 7, 1),
    "media": date(2024, 7, 1),
    "complete_journey": date(2018, 1, 1),
    "online_retail": date(2011, 12, 10),
}


@dataclass(frozen=True)
class Done:
    """One run: its project file, its project, its session, and the names that README's block left."""

    config: Path
    project: Any
    spark: Any
    left: dict[str, Any]

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The rows of a published table."""
        return [row.asDict() for row in self.project.read(self.spark, table).collect()]


_done: dict[str, Done] = {}


def done(spark, name: str, factory: pytest.TempPathFactory) -> Done:
    """The run of a shipped project; CDNOW's is the one in README, executed as it stands there."""
    if name not in _done:
        folder = factory.mktemp(name)
        (folder / "conf").mkdir()
        shutil.copy(ROOT / "conf" / f"{name}.yaml", folder / "conf")
        (folder / "conf" / "data").symlink_to(ROOT / "conf" / "data")
        with _compiled(spark):
            _done[name] = _readme(spark, folder) if name == "cdnow" else _run(spark, folder, name)
    return _done[name]


def copy(spark, name: str, factory: pytest.TempPathFactory) -> Done:
    """The same run in a folder of its own, for a test that goes on with it: others find theirs as it was."""
    from rfm_spark import Project

    theirs = done(spark, name, factory)
    folder = factory.mktemp(f"{name}_copy") / "project"
    shutil.copytree(theirs.config.parents[1], folder, symlinks=True)
    config = folder / "conf" / theirs.config.name
    return Done(config, Project.load(config), spark, {})


@contextmanager
def _compiled(spark) -> Iterator[None]:
    """Plans are compiled, as users have them: what tests otherwise do without, real data is worth."""
    names = [name for name in TEST_SETTINGS if "codegen" in name] if ENGINE == "spark" else []
    for name in names:
        spark.conf.unset(name)
    try:
        yield
    finally:
        for name in names:
            spark.conf.set(name, TEST_SETTINGS[name])


def python_block() -> str:
    """README's example in Python."""
    (block,) = (ROOT / "README.md").read_text(encoding="utf-8").split("```python\n")[1:]
    return block.split("```")[0]


def _run(spark, folder: Path, name: str) -> Done:
    from rfm_spark import Project

    config = folder / "conf" / f"{name}.yaml"
    project = Project.load(config)
    project.run(spark, as_of=AS_OF[name])
    return Done(config, project, spark, {})


def _readme(spark, folder: Path) -> Done:
    """Executed beside a conf/ of its own, with the two names that README takes as given."""
    rows = [(f"customer {n}", n) for n in range(1, 11)]
    frame = spark.createDataFrame(rows, "customer_key string, frequency int")
    names: dict[str, Any] = {"spark": spark, "frame": frame}
    before = Path.cwd()
    os.chdir(folder)
    try:
        exec(compile(python_block(), "README.md", "exec"), names)
    finally:
        os.chdir(before)
    return Done(folder / "conf" / "cdnow.yaml", names["project"], spark, names)
