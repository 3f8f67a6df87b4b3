"""What README tells people to type: its commands exist, its Python runs as it stands there."""

import re

import pytest
from e2e import shipped

README = (shipped.ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def left(spark, tmp_path_factory):
    """The names that the block "From Python" leaves, executed in a copy of conf/."""
    return shipped.done(spark, "cdnow", tmp_path_factory).left


def test_the_table_of_commands_is_the_command():
    from typer.main import get_command

    from rfm_spark.cli import app

    section = README.split("## Commands")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`rfm-spark (\w+)", row)}
    commands = get_command(app).commands
    assert named == set(commands)
    for row in rows:
        (first, *_) = re.findall(r"`rfm-spark (\w+)", row)
        known = {option for parameter in commands[first].params for option in parameter.opts}
        used = set(re.findall(r"--[a-z-]+", row))
        assert used <= known, row
    for option in re.findall(r"`(--[a-z-]+)", section):
        assert any(option in parameter.opts for command in commands.values() for parameter in command.params), option


def test_what_is_named_is_there():
    """Scripts, jobs and projects that README names."""
    for path in re.findall(r"(?:scripts|jobs|conf)/[\w./]+\w", README):
        assert (shipped.ROOT / path).exists() or path == "conf/x.yaml", path
    listed = re.search(r"Ready projects are in `conf/`: (.*)\.", README)[1]
    assert set(re.findall(r"`(\w+)`", listed)) == set(shipped.AS_OF)


def test_the_block_runs_the_project(left):
    current = left["project"].read(left["spark"], "current_segments").collect()
    assert len({row["customer_key"] for row in current}) == len(current) == 2357


def test_the_block_scores_a_frame_of_ones_own(left):
    """Frequencies 1 to 10 in five bins: the cut-points are 2, 4, 6, 8."""
    scored = {row["customer_key"]: row["f"] for row in left["scored"].collect()}
    assert scored == {f"customer {n}": (n + 1) // 2 for n in range(1, 11)}
