"""`predict` on a classic session: the totals of the published back-test, on the run of README."""

import pytest
from e2e import shipped
from e2e.commands import rfm_spark

pytest.importorskip("scipy")

pytestmark = [pytest.mark.slow, pytest.mark.spark_only]


def test_the_published_back_test(spark, tmp_path_factory):
    done = shipped.copy(spark, "cdnow", tmp_path_factory)
    said = rfm_spark(spark, "predict", done.config, "--as-of", shipped.AS_OF["cdnow"])
    assert said.code == 0, said.log
    for name, total in {"bg_nbd": "1,653", "mbg_nbd": "1,577", "pareto_nbd": "1,666", "actual": "1,882"}.items():
        assert next(row for row in said.rows if row[:2] == (name, total))
    (chosen,) = [row for row in done.rows("models") if row["chosen"]]
    assert chosen["model"] == "pareto_nbd"
    assert chosen["parameters"]["r"] == pytest.approx(0.55328, abs=1e-3)
    assert len(done.rows("predictions")) == 4 * 2357
