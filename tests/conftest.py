"""Fixtures of all tests: one session a run, built when the first test asks for it.

It is a classic Spark session, or with RFM_SPARK_TEST_ENGINE=sail one of Sail; the two do not live in one process.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from settings import ENGINE, TEST_SETTINGS


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what only Spark can show where the tests run on another engine, and what takes it long.

    What one process has to do alone begins first, so that no worker waits for it at the end.
    """
    items.sort(key=lambda item: "sail" not in item.path.parts)
    for item in items:
        if ENGINE != "spark" and item.get_closest_marker("spark_only"):
            item.add_marker(pytest.mark.skip(reason="of Spark alone"))
        if ENGINE == "spark" and item.get_closest_marker("on_sail"):
            item.add_marker(pytest.mark.skip(reason="shown on Sail"))
        if ENGINE == "spark" and item.get_closest_marker("slow_on_spark"):
            slow = item.get_closest_marker("slow")
            item.add_marker(pytest.mark.skip(reason="shown on Sail") if slow else pytest.mark.slow)


@pytest.fixture(scope="session")
def _session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    from rfm_spark import session  # here, so that tests without Spark do not pay for the import

    if ENGINE != "spark":
        spark = session.build(engine=ENGINE)
        with session.settings(spark):
            yield spark
        return
    folder = tmp_path_factory.mktemp("spark")
    # not the small one: a session that lives this long gains from the second compiler
    spark = session.build(small=False, conf=TEST_SETTINGS | {"spark.sql.warehouse.dir": str(folder / "warehouse")})
    yield spark
    spark.stop()


@pytest.fixture
def spark(_session):
    """The run's session; settings, temporary views and cached frames are put back after each test that uses it."""
    if ENGINE != "spark":  # where settings can neither be listed nor views be told apart
        yield _session
        return
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


@pytest.fixture(scope="session")
def postgres() -> Iterator[object]:
    """A PostgreSQL of this run's own; where the machine has none, the test is skipped."""
    import postgres

    with postgres.running() as server:
        yield server


@pytest.fixture
def lake_path(tmp_path: Path) -> str:
    """An empty folder for one test's Delta tables."""
    return str(tmp_path / "lake")
