"""Fixtures of all tests: one Spark session a run, built when the first test asks for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

TEST_SETTINGS = {
    "spark.master": "local[2]",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",
    "spark.databricks.delta.snapshotPartitions": "2",
}


@pytest.fixture(scope="session")
def _session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    from rfm_spark import session  # here, so that tests without Spark do not pay for the import

    folder = tmp_path_factory.mktemp("spark")
    spark = session.build(small=True, conf=TEST_SETTINGS | {"spark.sql.warehouse.dir": str(folder / "warehouse")})
    yield spark
    spark.stop()


@pytest.fixture
def spark(_session):
    """The run's session; settings, temporary views and cached frames are put back after each test that uses it."""
    before = dict(_session.conf.getAll)
    yield _session
    after = dict(_session.conf.getAll)
    for key in after.keys() - before.keys():
        _session.conf.unset(key)
    for key in (key for key, value in before.items() if after.get(key) != value):
        _session.conf.set(key, before[key])
    for table in _session.catalog.listTables():
        if table.isTemporary:
            _session.catalog.dropTempView(table.name)
    _session.catalog.clearCache()


@pytest.fixture
def lake_path(tmp_path: Path) -> str:
    """An empty folder for one test's Delta tables."""
    return str(tmp_path / "lake")
