"""How the command ends: its exit code, and the last line of the log that says the same. Nothing here starts a JVM."""

from datetime import date

import pytest
from config_examples import project, write
from e2e.commands import rfm_spark

from rfm_spark.errors import ConfigError


@pytest.fixture
def config(tmp_path):
    return write(tmp_path / "project.yaml", project())


def test_success_is_said_last(config):
    said = rfm_spark(None, "check", config)
    assert (said.code, said.log.splitlines()[-1]) == (0, "rfm_spark: exit 0 (complete)")
    assert "rfm_spark: exit" not in said.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "{config}"], "Missing option '--as-of'"),
        (["run", "{config}", "--as-off", "2011-12-10"], "No such option"),
        (["rum", "{config}"], "No such command 'rum'"),
        (["run", "{config}", "--as-of", "10.12.2011"], "found '10.12.2011', expected a date such as 2011-12-10"),
        (["run", "{config}", "--as-of", "0001-06-01"], "found 0001-06-01, expected a date in the years 1800 to 2199"),
        (["segment", "{config}", "--as-of", "2011-12-10", "--until", "9999-12-31"], "found 9999-12-31, expected"),
        (["show", "{config}", "--as-of", "2011-12-10", "--moves", "--since", "0001-01-01"], "found 0001-01-01, expect"),
        (["run", "{config}", "--as-of", "2011-12-10", "--every-seconds", "5"], "--every-seconds goes with --watch"),
        (["segment", "{config}", "--as-of", "2011-12-10", "--until", "2011-12-01"], "until 2011-12-01, every month"),
        (["segment", "{config}", "--as-of", "2011-12-10", "--until", "2012-12-01", "--every", "dy"], "every dy; exp"),
        (["segment", "{config}", "--as-of", "2011-12-10", "--cut-points-from", ""], "found '', expected a date"),
        (["run", "{config}", "--as-of", "2011-12-10", "--engine", "flink"], "found flink, expected spark or sail"),
    ],
)
def test_wrong_arguments_end_with_2(config, arguments, told):
    said = rfm_spark(None, *(argument.format(config=config) for argument in arguments))
    assert (said.code, said.log.splitlines()[-1]) == (2, "rfm_spark: exit 2 (invalid)")
    assert told in said.log


def test_dates_from_python_are_checked_too(config):
    from rfm_spark import Project

    project_ = Project.load(config)
    for ask in (
        lambda: project_.run(None, as_of=date(1, 6, 1)),
        lambda: project_.backfill(None, as_of=date(2011, 12, 10), until=date.max),
    ):
        with pytest.raises(ConfigError, match=r"found \d{4}-\d\d-\d\d, expected a date in the years 1800 to 2199"):
            ask()


def test_an_error_says_no_secret(config, monkeypatch):
    from rfm_spark import cli

    def fails(*_):
        raise OSError("no answer from s3a://KEY:SEC/RET@bucket/x?sig=abc")

    monkeypatch.setattr(cli.configs, "load_ready", fails)
    said = rfm_spark(None, "check", config)
    assert said.log.splitlines() == [
        "error: OSError: no answer from s3a://(removed)@bucket/x?sig=(removed)",
        "This is a bug of rfm_spark; RFM_SPARK_DEBUG=1 shows where.",
        "rfm_spark: exit 1 (failed)",
    ]
