"""Which Java is found, and which is refused, on machines that have none, an old one, or several."""

import os
from pathlib import Path

import pytest

from rfm_spark.java import JavaHome, feature, find_java


def install(home: Path, *, banner: str = "", release: str = "") -> Path:
    """A folder that looks like an installed Java; without a release file, as a wrapper script has it."""
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho '{banner}' >&2\n")
    program.chmod(0o755)
    if release:
        (home / "release").write_text(f'IMPLEMENTOR="someone"\nJAVA_VERSION="{release}"\n')
    return home


@pytest.mark.parametrize(
    ("text", "expected"),
    [("17.0.15", 17), ("21", 21), ("1.8.0_352", 8), ("11.0.2", 11), ("25-ea", 25), ("unknown", 0)],
)
def test_feature_release_is_read_from_old_and_new_version_texts(text, expected):
    assert feature(text) == expected


def test_java_home_comes_before_the_path(tmp_path):
    first = install(tmp_path / "first", release="21.0.1")
    second = install(tmp_path / "second", release="17.0.15")
    found = find_java({"JAVA_HOME": str(first), "PATH": str(second / "bin")}, str(tmp_path / "venv"))
    assert found == JavaHome(first, "21.0.1")


def test_an_old_java_home_does_not_hide_a_good_java_on_the_path(tmp_path):
    old = install(tmp_path / "old", release="1.8.0_352")
    good = install(tmp_path / "good", release="17.0.15")
    found = find_java({"JAVA_HOME": str(old), "PATH": str(good / "bin")}, str(tmp_path / "venv"))
    assert found == JavaHome(good, "17.0.15")


def test_the_java_of_set_up_is_used_where_the_others_are_too_old(tmp_path):
    old = install(tmp_path / "old", release="11.0.2")
    own = install(tmp_path / "venv" / "java", release="17.0.9")
    found = find_java({"PATH": str(old / "bin")}, str(tmp_path / "venv"))
    assert found == JavaHome(own, "17.0.9")


def test_only_an_old_java_is_returned_as_unsupported_so_that_a_message_can_name_it(tmp_path):
    old = install(tmp_path / "old", banner='openjdk version "11.0.2" 2019-01-15')
    found = find_java({"PATH": str(old / "bin")}, str(tmp_path / "venv"))
    assert found == JavaHome(old, "11.0.2")
    assert not found.supported


def test_a_link_on_the_path_leads_to_the_home_it_stands_for(tmp_path):
    home = install(tmp_path / "jdk-17", release="17.0.15")
    (tmp_path / "bin").mkdir()
    os.symlink(home / "bin" / "java", tmp_path / "bin" / "java")
    assert find_java({"PATH": str(tmp_path / "bin")}, str(tmp_path / "venv")) == JavaHome(home, "17.0.15")


def test_a_version_managers_script_on_the_path_leads_to_the_java_that_it_starts(tmp_path):
    home = install(tmp_path / "jdk-21", release="21.0.1")
    shim = install(tmp_path / "manager", banner=f'    java.home = {home}\nopenjdk version "21.0.1"')
    assert find_java({"PATH": str(shim / "bin")}, str(tmp_path / "venv")) == JavaHome(home, "21.0.1")


def test_no_java_at_all(tmp_path):
    (tmp_path / "broken").mkdir()
    assert find_java({"JAVA_HOME": str(tmp_path / "broken"), "PATH": ""}, str(tmp_path / "venv")) is None


def test_a_java_that_says_nothing_is_no_java(tmp_path):
    silent = install(tmp_path / "silent")
    assert find_java({"JAVA_HOME": str(silent), "PATH": ""}, str(tmp_path / "venv")) is None
