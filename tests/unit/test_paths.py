"""Whether a path is of this machine's files, however it is written."""

from pathlib import Path

import pytest

from rfm_spark.config.campaigns import Export
from rfm_spark.paths import is_elsewhere, without_scheme
from rfm_spark.pipelines import exports


@pytest.mark.parametrize(
    ("path", "elsewhere", "plain"),
    [
        ("data/a.csv", False, "data/a.csv"),
        ("/data/a.csv", False, "/data/a.csv"),
        ("file:/data/a.csv", False, "/data/a.csv"),
        ("file:///data/a.csv", False, "/data/a.csv"),
        ("s3a://bucket/a.csv", True, "s3a://bucket/a.csv"),
        ("dbfs:/mnt/a.csv", True, "dbfs:/mnt/a.csv"),
    ],
)
def test_where_a_path_is(path, elsewhere, plain):
    assert (is_elsewhere(path), without_scheme(path)) == (elsewhere, plain)


@pytest.mark.parametrize("path", ["/out/people", "file:///out/people/", "file:/out/people"])
def test_the_manifest_of_a_table_stands_beside_it(path):
    one = Export.model_validate({"format": "delta", "path": path})
    assert exports._manifest(one) == Path("/out/people.manifest.json")
