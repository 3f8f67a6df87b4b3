"""What README, and those of conf and scripts, tell people to type: the commands exist, and so do the files, pages and
headings that are named. Its Python is in test_shipped_projects."""

import re

from e2e import shipped

PAGES = [shipped.ROOT / folder / "README.md" for folder in (".", "conf", "scripts")]
README = PAGES[0].read_text(encoding="utf-8")


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


def headings(page):
    """The headings of a page, as links name them."""
    titles = re.findall(r"(?m)^#+ (.*)", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_what_is_named_is_there():
    """Scripts, jobs, projects, pages and their headings."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for path in re.findall(r"(?<![\w/])(?:scripts|jobs|conf)/[\w./-]+\w", text):
            assert (shipped.ROOT / path).exists() or path == "conf/x.yaml", (page, path)
        for path, heading in re.findall(r"\]\((?!https?:)([^#)]+)#?([^)]*)", text):
            assert (page.parent / path).exists(), (page, path)
            assert not heading or heading in headings(page.parent / path), (page, path, heading)
    listed = re.search(r"Ready projects are in `conf/`: (.*)\.", README, re.DOTALL)[1]
    assert set(re.findall(r"`(\w+)`", listed.split(".")[0])) == {p.stem for p in (shipped.ROOT / "conf").glob("*.yaml")}
