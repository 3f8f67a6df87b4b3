"""What a run must publish, in plain Python: metrics, cut-points, scores and segments from the definitions.

Written from the definitions and not from the package, slow and plain on purpose: one loop a customer, exact arithmetic
(Decimal and Fraction) throughout.
"""

from __future__ import annotations

import calendar
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml

from oracle.reading import Event, Ingested, ingest, sql_value

DEFAULT_CRITERIA = {
    "r": {"metric": "recency_days", "better": "low"},
    "f": {"metric": "frequency", "better": "high"},
    "m": {"metric": "monetary", "better": "high"},
}


@dataclass(frozen=True)
class Order:
    """One order of one customer: its date, what it brings and whether it counts for R and F."""

    day: date
    net: Decimal
    counted: bool


@dataclass(frozen=True)
class CutPoints:
    """The cut-points of one criterion in one segmentation, and the population they were fitted on."""

    cuts: list[Fraction]
    customers: int
    distinct_values: int
    attainable_scores: list[int]


@dataclass(frozen=True)
class Snapshot:
    """All that one snapshot must hold."""

    metrics: dict[str, dict[str, Any]]
    cut_points: dict[tuple[str, str], CutPoints]
    segments: dict[tuple[str, str], dict[str, Any]]


def load(path: Path) -> tuple[dict, Ingested]:
    """A project file and everything its ingestion must leave behind."""
    config = load_config(path)
    return config, ingest(config, path.parent)


def load_config(path: Path) -> dict:
    """A project file as it is written."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def snapshot(config: dict, ingested: Ingested, as_of: date) -> Snapshot:
    """The snapshot that a run at `as_of` must publish."""
    metrics = customer_metrics(config, ingested, as_of)
    cut_points, segments = {}, {}
    for segmentation in config["segmentations"]:
        fitted, scored = score(config, segmentation, metrics)
        cut_points.update({(segmentation["name"], criterion): cuts for criterion, cuts in fitted.items()})
        for customer, scores in scored.items():
            segments[segmentation["name"], customer] = {
                **{f"{criterion}_score": value for criterion, value in scores.items()},
                "rfm_score": joined(scores, config, segmentation),
                "segment": first_match(segmentation["segments"], {**metrics[customer], **scores}),
            }
    return Snapshot(metrics, cut_points, segments)


# --- metrics ------------------------------------------------------------------


def customer_metrics(config: dict, ingested: Ingested, as_of: date) -> dict[str, dict[str, Any]]:
    """One entry a customer with any event before `as_of`, or a profile."""
    seen = [event for event in ingested.events if event.day < as_of]
    starts = sub_period_starts(config.get("reference_period", {}), seen, as_of)
    of_customer: dict[str, list[Event]] = defaultdict(list)
    for event in seen:
        of_customer[event.customer].append(event)
    attributes = sorted({name for profile in ingested.profiles.values() for name in profile})
    policy = config.get("refunds", {}).get("policy", "net_on_order_date")
    return {
        customer: {
            **dict.fromkeys(attributes),
            **ingested.profiles.get(customer, {}),
            **metrics_of(of_customer[customer], starts, as_of, policy),
        }
        for customer in sorted(set(of_customer) | set(ingested.profiles))
    }


def sub_period_starts(period: dict, seen: list[Event], as_of: date) -> list[date]:
    """The first day of each sub-period; the last one ends before `as_of`."""
    parts = period.get("sub_periods", 4)
    if period.get("all"):
        start = min((event.day for event in seen), default=as_of)
        length = (as_of - start).days // parts
        return [start + timedelta(days=i * length) for i in range(parts)]
    months = period.get("months", 12)
    start = add_months(as_of, -months)
    return [add_months(start, i * months // parts) for i in range(parts)]


def add_months(day: date, months: int) -> date:
    """`day` so many months later, a month's end clamped."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def metrics_of(events: list[Event], starts: list[date], as_of: date, policy: str) -> dict[str, Any]:
    """The metrics of one customer from the events seen."""
    orders = orders_of(events, policy)
    counted = sorted(order.day for order in orders if order.counted)
    in_period = [day for day in counted if day >= starts[0]]
    money = [(order.day, order.net) for order in orders]
    if policy == "net_on_refund_date":
        money += [(event.day, -event.amount) for event in events if event.kind == "refund"]
    if not in_period:  # no order in the period: no money in the period
        money = []
    parts = range(len(starts))
    monetary_by_part = [sum_money(amount for day, amount in money if part(day, starts) == i) for i in parts]
    monetary, frequency = sum_money(monetary_by_part), len(in_period)
    contacts = [event for event in events if event.kind in ("contact", "engagement")]
    in_period_events = [event for event in events if event.day >= starts[0]]
    return {
        "recency_days": (as_of - counted[-1]).days if counted else None,
        "contact_recency_days": (as_of - max(event.day for event in contacts)).days if contacts else None,
        "frequency": frequency,
        "monetary": monetary,
        "duration_seconds": sum((event.duration or Decimal(0) for event in in_period_events), Decimal(0)),
        "contacts": sum(event.kind == "contact" for event in in_period_events),
        "engagements": sum(event.kind == "engagement" for event in in_period_events),
        **{f"orders_q{i + 1}": sum(part(day, starts) == i for day in in_period) for i in parts},
        **{f"monetary_q{i + 1}": amount for i, amount in enumerate(monetary_by_part)},
        "tenure_days": (as_of - counted[0]).days if counted else None,
        "average_order_value": Fraction(monetary) / frequency if frequency else None,
        "mean_gap_days": Fraction((in_period[-1] - in_period[0]).days, frequency - 1) if frequency > 1 else None,
        "momentum": momentum(monetary_by_part),
        "first_order_date": counted[0] if counted else None,
        "last_order_date": counted[-1] if counted else None,
    }


def orders_of(events: list[Event], policy: str) -> list[Order]:
    """The customer's orders: rows of one order_id, or where there is none the purchases of one business date."""
    purchases, refunds = defaultdict(list), defaultdict(list)
    for event in events:
        if event.kind == "purchase":
            purchases[("order", event.order_id) if event.order_id is not None else ("day", event.day)].append(event)
        elif event.kind == "refund" and event.order_id is not None and policy == "net_on_order_date":
            refunds["order", event.order_id].append(event)
    orders = []
    for key, rows in purchases.items():
        net = sum_money(row.amount for row in rows) - sum_money(row.amount for row in refunds[key])
        orders.append(Order(min(row.day for row in rows), net, counted=not refunds[key] or net > 0))
    return orders


def part(day: date, starts: list[date]) -> int:
    """The index of the sub-period of `day`; -1 before the period."""
    return sum(start <= day for start in starts) - 1


def momentum(by_part: list[Decimal]) -> Fraction | None:
    """How the latest sub-period compares with the one before, from -1 to 1."""
    if len(by_part) < 2 or abs(by_part[-1]) + abs(by_part[-2]) == 0:
        return None
    return Fraction(by_part[-1] - by_part[-2]) / Fraction(abs(by_part[-1]) + abs(by_part[-2]))


def sum_money(amounts) -> Decimal:
    """An exact sum."""
    return sum(amounts, Decimal("0.00"))


# --- cut-points, scores, segments ---------------------------------------------


def score(config: dict, segmentation: dict, metrics: dict[str, dict]) -> tuple[dict[str, CutPoints], dict[str, dict]]:
    """Fit and apply: the cut-points of each criterion, and each customer's scores."""
    buyers = [values for values in metrics.values() if values["frequency"] >= 1]
    fitted: dict[str, CutPoints] = {}
    scored: dict[str, dict[str, int]] = {customer: {} for customer in metrics}
    for name, criterion in criteria_of(config, segmentation).items():
        how = scoring_of(segmentation, name)
        values_of_buyers = [values[criterion["metric"]] for values in buyers]
        population = [Fraction(value) for value in values_of_buyers if value is not None]
        cuts = fit(population, how)
        levels = len(cuts) + 1
        low_is_good = criterion.get("better", "high") == "low"
        attained = sorted({score_of(value, cuts, levels, low_is_good) for value in population})
        fitted[name] = CutPoints(cuts, len(population), len(set(population)), attained)
        for customer, values in metrics.items():
            scored[customer][name] = score_of(values[criterion["metric"]], cuts, levels, low_is_good)
    return fitted, scored


def criteria_of(config: dict, segmentation: dict) -> dict[str, dict]:
    """The segmentation's criteria, in its own order or else the config's."""
    every = config.get("criteria", DEFAULT_CRITERIA)
    return {name: every[name] for name in segmentation.get("criteria", every)}


def scoring_of(segmentation: dict, criterion: str) -> dict:
    """The scoring of one criterion: the segmentation's, with the criterion's own on top."""
    scoring = dict(segmentation.get("scoring", {}))
    own = scoring.pop("criteria", {}).get(criterion, {})
    return {"bins": 5, "method": "approx_quantile", **scoring, **own}


def fit(population: list[Fraction], how: dict) -> list[Fraction]:
    """The cut-points between the scores; none where nobody was there to fit on."""
    if how["method"] == "fixed":
        return [Fraction(str(cut)) for cut in how["cuts"]]
    ordered, bins = sorted(population), how["bins"]
    quantile = {"approx_quantile": sample_quantile, "interpolated": type_7_quantile}[how["method"]]
    return [quantile(ordered, i, bins) for i in range(1, bins)] if ordered else []


def sample_quantile(ordered: list[Fraction], i: int, bins: int) -> Fraction:
    """The value at rank ceil(i N / bins), counted from 1: a value that occurs."""
    return ordered[-(-i * len(ordered) // bins) - 1]


def type_7_quantile(ordered: list[Fraction], i: int, bins: int) -> Fraction:
    """R's default quantile: linear between the two values around position (N - 1) i / bins, counted from 0."""
    position = Fraction((len(ordered) - 1) * i, bins)
    below = position.numerator // position.denominator
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def score_of(value: Any, cuts: list[Fraction], levels: int, low_is_good: bool) -> int:
    """1 + k where high is good, levels - k where low is good, k the cut-points strictly below; a null scores 1."""
    if value is None:
        return 1
    strictly_below = sum(cut < Fraction(value) for cut in cuts)
    return levels - strictly_below if low_is_good else 1 + strictly_below


def joined(scores: dict[str, int], config: dict, segmentation: dict) -> str:
    """The scores in the config's order, with `-` between where any criterion has more than 9 bins."""
    hows = [scoring_of(segmentation, name) for name in criteria_of(config, segmentation)]
    bins = [len(how["cuts"]) + 1 if how["method"] == "fixed" else how["bins"] for how in hows]
    return ("-" if max(bins) > 9 else "").join(str(value) for value in scores.values())


def first_match(rules: list[dict], names: dict[str, Any]) -> str | None:
    """The first segment whose rule holds (a null does not hold)."""
    for rule in rules:
        if rule.get("otherwise") or sql_value(rule["when"], names):
            return rule["name"]
    return None
