"""Campaigns for people: what a plan would do, and what a campaign has changed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from rfm_spark.config.campaigns import Campaign
from rfm_spark.config.models import ProjectConfig
from rfm_spark.pipelines.run_record import Plan
from rfm_spark.report import tables


def print_results(console: Console, config: ProjectConfig, results: Sequence[Mapping[str, Any]]) -> None:
    """Print a table a campaign, its rows as they were measured, and each verdict in a sentence for the whole."""
    questions = {campaign.name: campaign.question for campaign in config.campaigns}
    interval = f"{config.targeting.confidence:.0%} interval"
    headers = ["segment", "metric", "treated", "held out", "mean", "mean held out", "uplift", interval, "p, all", "ROI"]
    for name in dict.fromkeys(row["campaign"] for row in results):
        mine = [row for row in results if row["campaign"] == name]
        arms = len({row["arm"] for row in mine}) > 1
        table = Table(title=f"{name}: {questions.get(name) or 'what did it change?'}", title_justify="left")
        for header in [*(["arm"] if arms else []), *headers, "verdict", "needed"]:
            left = header in ("arm", "segment", "metric", "verdict")
            table.add_column(header, justify="left" if left else "right", no_wrap=header in ("segment", "verdict"))
        for row in mine:
            table.add_row(*([row["arm"]] if arms else []), *_cells(row))
        console.print(table)
        for row in mine:
            if row["segment"] == "all":
                console.print(_sentence(row, config.currency), soft_wrap=True)


def _cells(row: Mapping[str, Any]) -> list[str]:
    money = row["metric"] == "value"
    interval = "" if row["ci_low"] is None else f"{_amount(row['ci_low'], money)} to {_amount(row['ci_high'], money)}"
    return [
        row["segment"], row["metric"], f"{row['treated']:,}", f"{row['held_out']:,}",
        _amount(row["treated_mean"], money), _amount(row["holdout_mean"], money), _amount(row["uplift"], money),
        interval, "" if row["p_adjusted"] is None else f"{row['p_adjusted']:.3g}",
        "" if row["roi"] is None else f"{row['roi']:+.0%}", row["verdict"],
        "" if row["needed"] is None else f"{row['needed']:,}",
    ]  # fmt: skip


def _amount(value: float | None, money: bool) -> str:
    if value is None:
        return ""
    return f"{value:,.2f}" if money else f"{value:.2%}"


def _sentence(row: Mapping[str, Any], currency: str) -> str:
    told = f"{row['campaign']}, {row['arm']}, {row['metric']}: {row['verdict']}; {row['reason']}."
    if row["needed"]:
        told += f" {row['needed']:,} people in all would settle it."
    if row["roi"] is not None:
        ends = f" ({row['roi_low']:+.0%} to {row['roi_high']:+.0%})" if row["roi_low"] is not None else ""
        told += f" Cost {row['cost']:,.2f} {currency}, return on it {row['roi']:+.0%}{ends}."
    if not row["complete"]:
        told += " The window is not over yet."
    return told


# --- plans -----------------------------------------------------------------------------------------------------------

_CONTACTABLE = ("selected", "held_out", "global_holdout", "over_budget", "not_worth_it")
_BASES = {
    "measured": "as measured before",
    "stated": "as stated in the project file",
    "predicted": "a lift of the money predicted",
    "assumed": "assumed: nothing is measured or stated, so it ranks people and no more",
}


def print_plans(console: Console, config: ProjectConfig, plans: Sequence[Plan]) -> None:
    """Print a table a campaign, a row a segment, with advice; who is left out, and what a measurement would find."""
    headers = ("segment", "people", "may contact", "contact", "hold out", "cost", "expected", "each", "break-even")
    for plan in plans:
        campaign = plan.campaign
        order = {s.name: i for one in config.segmentations for i, s in enumerate(one.segments)}
        names = sorted({row["segment"] for row in plan.totals} | set(campaign.targets), key=lambda n: order.get(n, 999))
        title = f"{campaign.name}, sent {plan.wave} by {campaign.channel}: {campaign.question or campaign.message}"
        rows = [_segment(plan, name, config.currency) for name in names]
        console.print(tables.plain(title, (*headers, "advice"), rows))
        bound = [row for row in plan.totals if row["bound"]]
        _print_reasons(console, campaign.name, bound)
        _print_power(console, config, plan, bound)


def _segment(plan: Plan, name: str, currency: str) -> list[Any]:
    mine = [row for row in plan.totals if row["segment"] == name]
    by = Counter()  # type: ignore[var-annotated]
    for row in mine:
        by[row["outcome"]] += row["customers"]
    contactable = [row for row in mine if row["outcome"] in _CONTACTABLE]
    may, n = sum(row["customers"] for row in contactable), by["selected"]
    each = sum(row["expected_value"] for row in contactable) / may if may else None
    chosen = sum(row["expected_value"] for row in mine if row["outcome"] == "selected")
    campaign, cost = plan.campaign, plan.campaign.cost_per_contact
    bound = name in campaign.targets
    return [
        name if bound else f"({name})", sum(by.values()), may, n if bound else "", by["held_out"] if bound else "",
        f"{n * cost:,.2f}" if bound else "", f"{chosen:,.2f}" if bound else "", "" if each is None else f"{each:,.2f}",
        _percent(_break_even(campaign, mine)), _advice(campaign, by, bound, may, each, _bases(contactable), currency),
    ]  # fmt: skip


def _break_even(campaign: Campaign, rows: Sequence[Mapping[str, Any]]) -> float | None:
    """The share of those contacted who must respond beside those who would anyway, for the contact to pay."""
    stated, buyers = campaign.expected, sum(row["buyers"] for row in rows)
    value = sum(row["order_value"] or 0 for row in rows) / buyers if buyers else None
    if stated is not None and stated.response is not None:
        value = stated.value
    return campaign.cost_per_contact / (value * campaign.success.margin) if value else None


def _percent(share: float | None) -> str:
    return "" if share is None else "> 100 %" if share > 1 else f"{share:.2%}"


def _bases(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted({row["basis"] for row in rows})


def _advice(
    campaign: Campaign,
    by: Mapping[str, int],
    bound: bool,
    may: int,
    each: float | None,
    bases: list[str],
    currency: str,
) -> str:
    if not sum(by.values()):
        return "Nobody is in it."
    if not may or each is None:
        reason = max(by, key=lambda name: by[name]).replace("_", " ")
        return f"Nobody may be contacted, mostly for: {reason}."
    earns, cost = each * campaign.success.margin, campaign.cost_per_contact
    known = "expected" if bases != ["assumed"] else "assumed"
    told = f"{known} to earn {earns:,.2f} {currency} for {cost:,.2f}"
    if not bound:
        pay = may - by["not_worth_it"] if bases != ["assumed"] else may if earns > cost else 0
        return f"Not in the campaign; {pay:,} of it would pay." if pay else f"Leave out: {told}."
    if earns <= cost and bases != ["assumed"] and not by["selected"]:
        return f"Leave alone: a contact is {told}."
    if by["over_budget"]:
        more = by["over_budget"] * cost
        return f"Contact the best {by['selected']:,}; {more:,.2f} {currency} more would reach the others."
    if earns <= cost:
        return f"Contact the {by['selected']:,} that pay or that are tested; on average {told}."
    return f"Contact: {told} each."


def _print_reasons(console: Console, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    reasons = Counter()  # type: ignore[var-annotated]
    for row in rows:
        if row["outcome"] not in ("selected", "held_out"):
            reasons[row["outcome"]] += row["customers"]
    told = ", ".join(f"{reason} {n:,}" for reason, n in sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0])))
    console.print(f"{name}, left out for: {told or 'nothing'}", soft_wrap=True)


def _print_power(console: Console, config: ProjectConfig, plan: Plan, rows: Sequence[Mapping[str, Any]]) -> None:
    bases = ", ".join(_BASES[basis] for basis in _bases([row for row in rows if row["outcome"] in _CONTACTABLE]))
    if bases:
        console.print(f"{plan.campaign.name}, what a contact brings: {bases}", soft_wrap=True)
    rate, value = plan.detectable.get("rate"), plan.detectable.get("value")
    if rate is None or value is None:
        console.print(f"{plan.campaign.name}: with nobody contacted, or nobody held out, nothing can be measured")
        return
    now = plan.baseline
    if not rate and not value:
        days = plan.campaign.success.window_days
        told = f"none of them did anything in the {days} days before, so what a measurement would find is not known"
        console.print(f"{plan.campaign.name}: {told}", soft_wrap=True)
        return
    told = (
        f"{plan.campaign.name}, measurable with power {config.targeting.power:.0%}: an uplift of at least {rate:.2%} "
        f"in the rate (now {now['rate']:.2%}) or {value:,.2f} {config.currency} a person (now {now['value']:,.2f})"
    )
    needed = f"; {plan.needed:,} people in all are needed to see what is expected" if plan.needed else ""
    console.print(told + needed, soft_wrap=True)
