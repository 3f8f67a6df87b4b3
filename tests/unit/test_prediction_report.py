"""What `predict` prints of segments: unknown is not nothing."""

from types import SimpleNamespace

from rich.console import Console

from rfm_spark.report import predictions


def printed(**row) -> list[str]:
    known = {"segment": "loyal", "customers": 10, "next_customers": None, "alive": 7.6, "buyers": 3.2}
    forecast = SimpleNamespace(rows=[known | {"expected_orders": 4.4, "expected_value": 99.7} | row], chain=None)
    outcome = SimpleNamespace(
        customers=10, distinct=5, horizon_days=30, last_day="2024-06-30",
        back_test=SimpleNamespace(chosen="nbd"), segments={"value": forecast},
    )  # fmt: skip
    console = Console(width=120)
    with console.capture() as out:
        predictions.print_totals(console, outcome, "EUR")
    line = next(line for line in out.get().splitlines() if "loyal" in line)
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_an_expected_value_that_nobody_knows_is_not_0():
    assert printed() == ["loyal", "10", "8", "3", "4", "100"]
    assert printed(expected_value=None) == ["loyal", "10", "8", "3", "4", ""]


def test_a_segment_without_predicted_customers_expects_0():
    nobody = dict.fromkeys(("alive", "buyers", "expected_orders", "expected_value"))
    assert printed(**nobody) == ["loyal", "10", "0", "0", "0", "0"]
