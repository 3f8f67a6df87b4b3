"""The files of a path as Spark lists them, found without an engine."""

import os

from rfm_spark.sources.files import files, folders


def listed(path, **options):
    """Names of the files below the folder of the test."""
    return [address.rsplit("/", 1)[1] for address in files(None, str(path), options)]


def test_folders_patterns_and_what_is_no_data(tmp_path):
    for name in ("a.csv", "b.json", "_SUCCESS", ".a.csv.crc", "month=1/c.csv", "month=2/d e.csv", "other/f.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert listed(tmp_path) == ["a.csv", "b.json", "c.csv", "d%20e.csv"]
    assert listed(tmp_path, recursiveFileLookup="true") == ["a.csv", "b.json", "c.csv", "d%20e.csv", "f.csv"]
    assert listed(tmp_path, pathGlobFilter="*.csv") == ["a.csv", "c.csv", "d%20e.csv"]
    assert listed(tmp_path / "{a.csv,b.*}") == ["a.csv", "b.json"]
    assert listed(f"file://{tmp_path}/month=?") == ["c.csv", "d%20e.csv"]
    assert listed(tmp_path / "nothing") == []
    addresses = files(None, str(tmp_path), {})
    assert addresses[0] == f"file://{tmp_path}/a.csv"
    assert folders(str(tmp_path), addresses) == ["month"]


def test_linked_folders_are_entered_once(tmp_path):
    there = tmp_path / "there"
    there.mkdir()
    (there / "x.csv").write_text("x")
    inside = tmp_path / "in"
    inside.mkdir()
    os.symlink(there, inside / "month=1")
    os.symlink(inside, there / "again=1")
    assert listed(inside) == ["x.csv"]
