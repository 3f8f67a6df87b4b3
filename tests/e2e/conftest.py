"""The tiny project of `faults`, as undisturbed runs leave it, and the shop of `marketing`."""

import shutil
from pathlib import Path

import pytest
from e2e import faults, marketing
from e2e.commands import rfm_spark


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


@pytest.fixture(scope="module")
def shop(_session, tmp_path_factory) -> Path:
    """The project file of a lake that is segmented and targeted."""
    config = marketing.write_project(tmp_path_factory.mktemp("shop") / "p")
    assert rfm_spark(_session, "run", config, "--as-of", marketing.AS_OF).code == 0
    assert rfm_spark(_session, "target", config, "--as-of", marketing.AS_OF).code == 0
    return config
