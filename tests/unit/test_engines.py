"""Which engine a session is of, and what only Spark can run; no engine is started."""

import re
from types import SimpleNamespace

import pytest
from config_examples import project, put, write

from rfm_spark import engines
from rfm_spark.config import load
from rfm_spark.errors import ConfigError


class Client:
    """As a client of Spark Connect: it claims a version, and the server tells its own."""

    __module__ = "pyspark.sql.connect.session"

    def __init__(self, tells: str) -> None:
        self.version, self._tells, self.asked = "4.2.0", tells, 0

    def sql(self, _: str) -> SimpleNamespace:
        self.asked += 1
        return SimpleNamespace(collect=lambda: [(self._tells,)])


@pytest.mark.parametrize(
    ("tells", "engine"),
    [("0.7.2", "sail 0.7.2"), ("4.2.0 8a7fdd1c", "spark 4.2.0"), ("4.0.0 0000000", "spark 4.2.0")],
)
def test_the_server_says_what_it_is_and_is_asked_once(tells, engine):
    session = Client(tells)
    assert str(engines.of(session)) == str(engines.of(session)) == engine
    assert session.asked == 1


def test_a_classic_session_is_spark_without_a_question():
    assert str(engines.of(SimpleNamespace(version="4.2.0"))) == "spark 4.2.0"


def test_sail_has_none_of_the_abilities_that_are_named():
    abilities = {name: value for name, value in vars(engines.sail("1")).items() if isinstance(value, bool)}
    assert abilities
    assert not any(abilities.values())
    assert all(vars(engines.spark("1"))[name] for name in abilities)


def test_what_only_spark_runs_is_refused_all_at_once(tmp_path):
    data = project()
    put(data, "sources.0.format", "table")
    put(data, "sources.0.path", ...)
    put(data, "sources.0.options", ...)
    put(data, "sources.0.table", "shop.orders")
    put(data, "lake", {"catalog": "main", "schema": "shop", "change_data_feed": True})
    config = load(write(tmp_path / "project.yaml", data))
    engines.require("spark", config)
    with pytest.raises(ConfigError) as caught:
        engines.require("sail", config, writes=True)
    assert [fault.path for fault in caught.value.faults] == [
        "sources.orders.format",
        "lake.catalog",
        "lake.change_data_feed",
    ]
    with pytest.raises(ConfigError) as caught:
        engines.require("sail", config)
    assert "lake.change_data_feed" not in [fault.path for fault in caught.value.faults]
    with pytest.raises(ConfigError, match="found flink, expected spark or sail"):
        engines.require("flink", config)


@pytest.mark.parametrize("folder", ["my lake", "größe", "100%", "a#b", "a?b", "a[1]", "a~b"])
def test_a_lake_in_a_folder_that_sail_would_escape_is_refused(tmp_path, folder):
    """Whatever reads or writes it; a source, and what is no folder of this machine, may be called so."""
    data = project()
    put(data, "sources.0.path", f"{folder}/orders.csv")
    config = load(write(tmp_path / "project.yaml", data), lake=str(tmp_path / folder))
    engines.require("spark", config)
    character = next(one for one in folder if one in " ö%#?[~")
    message = f"lake.path: '{character}' in {tmp_path / folder} needs --engine spark, found sail; or give a folder"
    with pytest.raises(ConfigError, match=re.escape(message)):
        engines.require("sail", config)
    engines.require("sail", load(tmp_path / "project.yaml", lake="s3://bucket/my lake"))
    engines.require("sail", load(tmp_path / "project.yaml", lake=str(tmp_path / "ann's+ben's")))
