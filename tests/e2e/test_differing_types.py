"""Types that differ between files or between sources, and columns that hold no one value."""

import pytest
from e2e import bad_input as bad

from rfm_spark.errors import InputError


def test_parquet_files_of_different_types(spark, tmp_path):
    for name, value in (("1", "5"), ("2", "'5'")):
        spark.sql(f"select 'A1' id, '2011-01-02' date, {value} amount").write.parquet(str(tmp_path / "in" / name))
    message = "source orders: the files of .* differ in type: amount is .* and .*; make them one type"
    bad.fails(spark, tmp_path, [bad.source_of("orders", "in/*", format="parquet")], InputError, message)


def test_extra_columns_of_one_name_and_different_types(spark, tmp_path):
    from rfm_spark import Project

    def sources(*types):
        given = {"columns": bad.COLUMNS | {"n": "n"}}
        return [bad.source_of(type_[:3], "f.csv", **given, types={"n": type_}) for type_ in types]

    bad.write(tmp_path, {"f.csv": "id,date,amount,n\nA1,2011-01-02,5,7\n"})
    message = "sources.str.columns.n: found string, and another source has it as int; cast it to that"
    bad.fails(spark, tmp_path, sources("int", "string"), InputError, message)
    project = Project.load(bad.project_file(tmp_path, sources("int", "decimal(9,2)")))
    project.ingest(spark, as_of=bad.AS_OF)
    assert [row["n"] for row in project.read(spark, "events").collect()] == [7, 7]


@pytest.mark.slow_on_spark
def test_attributes_of_one_name_and_different_types(spark, tmp_path):
    from rfm_spark import Project

    bad.write(tmp_path, {"f.csv": "id,date,amount,n\nA1,2011-01-02,5,7\n"})
    given = {"kind": "profile", "columns": {"source_customer_id": "id"}, "attributes": {"n": "n"}, "event_type": None}

    def sources(*types):
        each = [bad.source_of(type_[:3], "f.csv", **given, types={"n": type_}) for type_ in types]
        return [bad.source_of("orders", "f.csv"), *each]

    message = "attribute n: found int in int, date in dat; make them one type"
    bad.fails(spark, tmp_path, sources("int", "date"), InputError, message)
    rules = [
        {"name": "many", "when": "n > 6", "action": bad.ACTION},
        {"name": "no", "otherwise": True, "action": bad.ACTION},
    ]
    segmentations = [{"name": "value", "question": "Who?", "segments": rules}]
    project = Project.load(bad.project_file(tmp_path, sources("int", "decimal(9,2)"), segmentations=segmentations))
    for _ in range(2):  # by snapshots too
        project.run(spark, as_of=bad.AS_OF)
    assert [row["segment"] for row in project.read(spark, "customer_segments").collect()] == ["many"]


def test_a_parquet_column_of_structs_is_no_value(spark, tmp_path):
    row = "select named_struct('a', 1) id, '2011-01-02' date, 5 amount"
    spark.sql(row).write.parquet(str(tmp_path / "in"))
    message = "column id holds struct<a:int>, expected one value for source_customer_id"
    bad.fails(spark, tmp_path, [bad.source_of("orders", "in", format="parquet")], InputError, message)
