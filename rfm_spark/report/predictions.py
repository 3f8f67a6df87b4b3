"""What `predict` prints: the models, the back-test, and what the segments are expected to do."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from rfm_spark.report import tables

if TYPE_CHECKING:
    from rfm_spark.steps.prediction.back_test import Class
    from rfm_spark.steps.prediction.choice import Fits, Outcome
    from rfm_spark.steps.prediction.transitions import Transitions

_NAIVE = {"last_period": "as in the last period", "segment_mean": "mean of like customers"}


def print_back_test(console: Console, outcome: "Outcome") -> None:
    """Print the models of the calibration, and what they and the naive rules forecast of the days held out."""
    tested = outcome.back_test
    calibrated = round(tested.held.customers)
    console.print(
        f"Calibration to {outcome.calibration_end}: {calibrated:,} customers, {outcome.calibrated_distinct:,} distinct "
        f"(x, t_x, T), {calibrated / outcome.calibrated_distinct:.1f} customers each; time in {outcome.unit}s",
        soft_wrap=True,
    )
    console.print(
        tables.plain("Models", ("model", "parameters (standard error)", "log-likelihood", ""), _models(outcome))
    )
    span = f"{tested.held.days} days after {outcome.calibration_end}, {calibrated:,} customers"
    console.print(_totals(outcome, f"Back-test in total: {span}"))
    console.print(_classes("Back-test by purchase days after the first, a customer", "days", tested.by_frequency))
    console.print(_classes(f"Back-test by tenths of {tested.chosen}'s forecast, a customer", "tenth", tested.by_decile))
    if tested.value is not None:
        actual, forecast = tested.value
        off = f" ({forecast / actual - 1:+.1%})" if actual else ""
        console.print(
            f"Their value, by {tested.chosen} and gamma_gamma: {forecast:,.2f} forecast, {actual:,.2f} came{off}"
        )
    for line in _conclusions(outcome):
        console.print(line, soft_wrap=True)


def print_totals(console: Console, outcome: "Outcome", currency: str) -> None:
    """Print what each segment of the newest snapshot is expected to do."""
    console.print(
        f"Predicted for {outcome.customers:,} customers, {outcome.distinct:,} distinct (x, t_x, T): the "
        f"{outcome.horizon_days} days after {outcome.last_day}, by {outcome.back_test.chosen}",
        soft_wrap=True,
    )
    for name, forecast in outcome.segments.items():
        chain = forecast.chain if any(row["next_customers"] is not None for row in forecast.rows) else None
        later = ("in a period",) if chain else ()
        said = ("customers", *later, "of them alive", "expected to order", "expected orders", f"expected {currency}")
        rows = [_segment(row, later=chain is not None) for row in forecast.rows]
        console.print(tables.plain(f"{name}: what its segments are expected to do", ("segment", *said), rows))
        if chain is not None:
            console.print(f"{name}: {_chain(chain)}", soft_wrap=True)


def _segment(row: Mapping[str, Any], *, later: bool) -> list[Any]:
    sums: list[Any] = [round(row[name] or 0) for name in ("alive", "buyers", "expected_orders", "expected_value")]
    if row["alive"] is not None and row["expected_value"] is None:
        sums[-1] = ""  # people are predicted, but not what an order is worth
    return [row["segment"], row["customers"], *([round(row["next_customers"])] if later else []), *sums]


def _chain(chain: "Transitions") -> str:
    told = f"a period is {chain.period_days} days, as between the last two snapshots; {chain.periods} such are counted"
    tested, naive = chain.off(chain.tested), chain.off(chain.naive)
    if tested is None or naive is None:
        return f"{told}, too few to test the forecast of sizes on."
    return (
        f"{told}. The ones before put {tested:.1%} of the customers of {chain.until} into a wrong segment, sizes that "
        f"stay as they were {naive:.1%}."
    )


def _models(outcome: "Outcome") -> Iterator[list[str]]:
    for name, fit in outcome.fits.items():
        told = _estimates(fit) if fit.calibration.identified else "not identified"
        roles = [
            role
            for role, of in (("chosen", outcome.back_test.chosen), ("churn", outcome.back_test.churn))
            if of == name
        ]
        yield [name, told, f"{fit.calibration.log_likelihood:,.3f}", ", ".join(roles)]


def _estimates(fit: "Fits") -> str:
    found = fit.calibration
    each = zip(found.names, found.values, found.standard_errors, strict=True)
    return ", ".join(f"{name} {value:.4g} ({error:.2g})" for name, value, error in each)


def _totals(outcome: "Outcome", title: str) -> Table:
    tested, rows = outcome.back_test, []
    rows.append(["actual", f"{tested.held.orders:,.0f}", "", "", ""])
    for said in [*tested.forecasts.values(), *tested.naive]:
        fit = outcome.fits.get(said.name)
        note = " (not used)" if fit is not None and fit.problem else ""
        name = _NAIVE.get(said.name, said.name) + note
        rows.append([name, f"{said.total:,.0f}", f"{said.error:+.1%}", f"{said.mae:.3f}", f"{said.rmse:.3f}"])
    headers = ("", "orders", "off by", "mean absolute error", "root mean square error")
    return tables.plain(title, headers, rows)


def _classes(title: str, first: str, classes: Sequence["Class"]) -> Table:
    names = list(classes[0].forecasts) if classes else []
    rows = [
        [one.name, round(one.customers), round(one.actual, 3), *(round(one.forecasts[name], 3) for name in names)]
        for one in classes
    ]
    return tables.plain(title, (first, "customers", "actual", *(_NAIVE.get(name, name) for name in names)), rows)


def _conclusions(outcome: "Outcome") -> Iterator[str]:
    tested = outcome.back_test
    among = "of those within the tolerance" if tested.near else "of all, as none is within the tolerance"
    yield f"Chosen: {tested.chosen}, the least root mean square error {among}."
    for name, fit in outcome.fits.items():
        if fit.problem:
            yield f"{name} is not used: {fit.problem}"
    if tested.churn is None and tested.chosen == "nbd":
        yield "No model that lets customers leave can be used: p_alive is 1 for all; p_no_purchase tells them apart."
    elif tested.churn is None:
        yield f"p_alive in rules is of {tested.chosen}, to which who bought once always lives: use p_no_purchase."
    elif tested.churn != tested.chosen:
        yield f"p_alive in rules is of {tested.churn}: to {tested.chosen} who bought once is alive for certain."
