"""Rates: a rate holds until the next of its currency, the last for ever."""

from datetime import date
from decimal import Decimal

from chispa import assert_df_equality

from rfm_spark.local import local_frame

D1, D2, D3, EVER = date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1), date(9999, 12, 31)
RATE = ("rate", "decimal(18,6)")


def test_spans(spark):
    from rfm_spark.steps import rates

    dated = [("USD", D1, "1.1"), ("USD", D3, "1.3"), ("USD", D2, "1.2"), ("USD", D2, "1.15"), ("GBP", D2, "0.8")]
    frame = local_frame(
        spark, [(c, day, Decimal(rate)) for c, day, rate in dated], [("currency", "string"), ("date", "date"), RATE]
    )
    expected = [("USD", D1, D2, "1.1"), ("USD", D2, D3, "1.2"), ("USD", D3, EVER, "1.3"), ("GBP", D2, EVER, "0.8")]
    columns = [("currency", "string"), ("valid_from", "date"), ("valid_to", "date"), RATE]
    wanted = local_frame(spark, [(*row[:3], Decimal(row[3])) for row in expected], columns)
    assert_df_equality(rates.spans(frame), wanted, ignore_nullable=True, ignore_row_order=True)
