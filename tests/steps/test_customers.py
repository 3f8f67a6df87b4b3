"""Customers: one profile a person, the newest value of each attribute, the first source that has one."""

from datetime import date

from chispa import assert_df_equality

from rfm_spark.local import local_frame

D1, D2, D3 = date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1)


def profiles(spark, rows, *attributes):
    columns = [("customer_key", "string"), ("profile_date", "date"), *((name, "string") for name in attributes)]
    return local_frame(spark, rows, columns)


def test_newest_within_a_source_first_between_sources(spark):
    from rfm_spark.steps import customers

    crm = [
        ("a", D1, "Leeds", "x"),
        ("a", D2, None, "y"),  # a null does not overwrite
        ("b", D1, "Bath", None),
        ("b", D1, "York", None),  # two of one day: the greater
        ("c", None, "Hull", None),  # without a date it always was
        ("c", D2, "Wells", None),
        ("only crm", D2, None, None),
    ]
    club = [
        ("a", D3, "Paris", "gold"),
        ("b", D3, None, "blue"),
        ("c", D1, "Rome", None),
        ("only club", D3, "Oslo", "red"),
    ]
    expected = [
        ("a", D1, "Leeds", "y", "gold"),
        ("b", D1, "York", None, "blue"),
        ("c", None, "Wells", None, None),
        ("only crm", D2, None, None, None),
        ("only club", D3, "Oslo", None, "red"),
    ]
    merged = customers.merge_profiles([profiles(spark, crm, "town", "size"), profiles(spark, club, "town", "card")])
    assert_df_equality(
        merged, profiles(spark, expected, "town", "size", "card"), ignore_nullable=True, ignore_row_order=True
    )
