"""How a database is reached, as a project file says it: no secret stands in it, and none is ever shown."""

import json
import os
import pickle
from unittest import mock

import pytest
from config_examples import project, put, write

from rfm_spark import config as configs
from rfm_spark import engines
from rfm_spark.config.databases import Secret
from rfm_spark.config.load import from_data, load
from rfm_spark.databases import Database
from rfm_spark.errors import ConfigError, EnvironmentFault

SECRET = "hunter2-is-secret"
URL = "jdbc:postgresql://db:5432/shop"


def with_database(**changes: object) -> dict:
    data = project()
    crm = data["sources"][1]
    del crm["path"]
    crm |= {"format": "jdbc", "url": URL, "table": "public.people", "user": "reader", "password": {"env": "CRM"}}
    for path, value in changes.items():
        put(crm, path.replace("__", "."), value)
    return data


def faults_of(data: dict) -> dict[str, str]:
    with pytest.raises(ConfigError) as raised:
        from_data(data)
    assert SECRET not in str(raised.value)
    return {fault.path.removeprefix("sources[1]."): fault.message for fault in raised.value.faults}


def test_what_is_kept_and_shown_says_where_the_secret_is(tmp_path):
    data = with_database(user={"file": "user.txt"}, password={"file": "secrets/crm"})
    path = write(tmp_path / "project.yaml", data)
    loaded = load(path)
    crm = loaded.source("crm")
    assert crm.password == Secret(file=str(tmp_path / "secrets/crm"))
    assert crm.user == Secret(file=str(tmp_path / "user.txt"))
    assert configs.resolved(loaded)["sources"][1]["password"] == {"file": str(tmp_path / "secrets/crm")}
    assert configs.from_resolved(json.dumps(configs.resolved(loaded))).source("crm") == crm
    assert "password:\n    file:" in configs.defaults(loaded)


@pytest.mark.parametrize(
    ("changes", "where", "told"),
    [
        ({"password": SECRET}, "password", "expected: {env: NAME} or {file: PATH} that holds it"),
        ({"password": 123456}, "password", "found (removed), expected"),
        ({"password": {"env": "A", "file": "b"}}, "password", "one of env"),
        ({"user": {"env": "A", "file": "b"}}, "user", "expected a section with env, file or text"),
        ({"url": f"jdbc:postgresql://ann:{SECRET}@db/shop"}, "url", "found a user or password in it"),
        ({"url": f"{URL}?ssl=true&password={SECRET}"}, "url", "found a user or password in it"),
        ({"url": f"jdbc:oracle:thin:ann/{SECRET}@db:1521"}, "url", "found a user or password in it"),
        ({"url": "postgresql://db/shop"}, "url", "expected a JDBC URL such as"),
        ({"url": ...}, "url", "missing; found format: jdbc, expected url"),
        ({"table": ...}, "table", "missing; found format: jdbc, expected table"),
        ({"path": "x.csv"}, "path", "expected only url and table"),
        ({"options": {"password": SECRET}}, "options.password", "expected password beside them"),
        ({"options": {"dbtable": "x"}}, "options.dbtable", "expected table beside them"),
        ({"options": {"sslpassword": SECRET}}, "options.sslpassword", "a secret has no place in a project file"),
        ({"table": "select * from people"}, "table", "in parentheses with a name"),
        ({"table": "(select * from people)"}, "table", "a query without a name"),
        ({"table": "people; drop table people"}, "table", "found `;`"),
        ({"watermark": {"column": "changed_at"}}, "watermark", "kind: profile, which is read whole"),
        ({"partition": {"column": "id", "lower": 5}}, "partition", "both numbers or both dates"),
        ({"partition": {"column": "id", "lower": 5, "upper": 5}}, "partition", "a lower that is below upper"),
        ({"format": "csv", "path": "x.csv", "table": ..., "url": ...}, "password", "with format: jdbc only"),
    ],
)  # fmt: skip
def test_faults_say_what_to_write_and_quote_no_secret(changes, where, told):
    assert told in faults_of(with_database(**changes))[where]


def test_new_rows_need_what_tells_them_again():
    data = with_database()
    orders = data["sources"][0]
    orders |= {"format": "jdbc", "url": URL, "table": "orders", "watermark": {"column": "at", "overlap_hours": 2}}
    del orders["path"], orders["options"], orders["event_id"]
    with pytest.raises(ConfigError, match=r"sources\[0\].watermark: found watermark without event_id"):
        from_data(data)
    put(orders, "watermark.overlap", 5)
    with pytest.raises(ConfigError, match="overlap_hours for a column of dates or times, or overlap for one"):
        from_data(data | {"sources": [orders | {"event_id": "order"}, data["sources"][1]]})


def test_a_secret_given_on_the_command_line_is_refused_unquoted(tmp_path):
    path = write(tmp_path / "project.yaml", with_database())
    with pytest.raises(ConfigError) as raised:
        load(path, [f"sources.crm.password={SECRET}"])
    assert "sources[1].password" in str(raised.value)
    assert SECRET not in str(raised.value)


def test_sail_reads_postgresql_alone():
    data = with_database(url="jdbc:mysql://db/shop?ssl=1", options={"queryTimeout": 5, "fetchsize": 9})
    with pytest.raises(ConfigError) as raised:
        engines.require("sail", from_data(data))
    assert [str(fault) for fault in raised.value.faults] == [
        "sources.crm.url: another database than jdbc:postgresql needs --engine spark, found sail",
        "sources.crm.url: ssl in it needs --engine spark, found sail",
        "sources.crm.options.queryTimeout: this option needs --engine spark, found sail",
    ]
    engines.require("sail", from_data(with_database(url=f"{URL}?sslmode=require")))


def test_a_secret_is_looked_up_when_it_is_used_and_kept_nowhere(tmp_path):
    (tmp_path / "crm").write_text(f"{SECRET}\n")
    by_file = Database(URL, "people", "sources.crm", "ann", Secret(file=str(tmp_path / "crm")))
    by_env = Database(URL, "people", "sources.crm", Secret(env="WHO"), Secret(env="CRM"))
    with mock.patch.dict(os.environ, {"WHO": "ann", "CRM": SECRET}):
        assert by_file.credentials() == by_env.credentials() == {"user": "ann", "password": SECRET}
        for database in (by_file, by_env):
            assert SECRET not in f"{database} {database!r}"
            assert SECRET.encode() not in pickle.dumps(database)
    with mock.patch.dict(os.environ, {"CRM": ""}), pytest.raises(EnvironmentFault) as raised:
        by_env.credentials()
    assert str(raised.value).startswith("sources.crm.user: the environment variable WHO is not set or empty")
    (tmp_path / "crm").unlink()
    with pytest.raises(EnvironmentFault, match=r"sources.crm.password: the file .* cannot be read or is empty"):
        by_file.credentials()


@pytest.mark.parametrize(("url", "quoted"), [(URL, '"a ""b"" `c`"'), ("jdbc:mysql://db/shop", '`a "b" ``c```')])
def test_names_are_quoted_as_the_database_takes_them(url, quoted):
    assert Database(url, "t", "sources.crm").quoted('a "b" `c`') == quoted
