"""The tiny project of `faults`, as undisturbed runs leave it."""

import shutil
from pathlib import Path

import pytest
from e2e import faults


@pytest.fixture
def undisturbed(spark, tmp_path_factory) -> faults.Undisturbed:
    """What undisturbed runs leave."""
    return faults.undisturbed(spark, tmp_path_factory)


@pytest.fixture
def config(undisturbed) -> Path:
    """The project file."""
    return undisturbed.config


@pytest.fixture
def october(undisturbed, tmp_path) -> str:
    """A copy of the lake of October, with the snapshot of July."""
    return str(shutil.copytree(undisturbed.folder / "october", tmp_path / "lake"))
