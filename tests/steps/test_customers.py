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


def test_the_value_that_survives_by_each_rule(spark):
    from rfm_spark.config.identity import Survivorship
    from rfm_spark.steps import customers

    rows = [
        ("a", "crm", D1, "Leeds"),
        ("a", "club", D2, "Paris"),
        ("a", "shop", D3, "Oslo"),
        ("a", "club", D1, "Leeds"),
        ("a", "crm", D3, None),
        ("b", "shop", D1, "Bath"),
        ("b", "club", D1, "York"),  # as often and as new: the source that is named first
        ("c", "shop", None, None),
    ]
    told = {
        "source_priority": {"a": ("Leeds", "crm"), "b": ("York", "club")},
        "newest": {"a": ("Oslo", "shop"), "b": ("York", "club")},
        "most_frequent": {"a": ("Leeds", "crm"), "b": ("York", "club")},
        "shop_first": {"a": ("Oslo", "shop"), "b": ("Bath", "shop")},
    }
    names = [("customer_key", "string"), ("source", "string"), ("profile_date", "date")]
    rules = {name: Survivorship(rule=name) for name in list(told)[:3]}
    rules["shop_first"] = Survivorship(rule="source_priority", sources=["shop"])
    wide = local_frame(spark, [(*row, *[row[3]] * 3) for row in rows], names + [(name, "string") for name in told])
    found = {row["customer_key"]: row for row in customers.survivors(wide, ["crm", "club", "shop"], rules).collect()}
    assert found.keys() == {"a", "b", "c"}
    for rule, expected in told.items():
        assert found["c"][rule] is None
        for who, (value, origin) in expected.items():
            assert (found[who][rule], found[who]["attribute_sources"][rule]) == (value, origin), (rule, who)
    assert (found["a"]["profile_date"], found["c"]["profile_date"]) == (D1, None)
