"""Campaigns for people: what a plan would do, and what a campaign has changed."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from rfm_spark.config.models import ProjectConfig
from rfm_spark.report import tables


def print_results(console: Console, config: ProjectConfig, results: Sequence[Mapping[str, Any]]) -> None:
    """Print a table a campaign, its rows as they were measured, and each verdict in a sentence for the whole."""
    questions = {campaign.name: campaign.question for campaign in config.campaigns}
    interval = f"{config.targeting.confidence:.0%} interval"
    shown = ["segment", "arm", "metric", "treated", "held out", "mean", "held out mean", "uplift", interval]
    shown += ["p, all", "ROI", "verdict", "needed"]
    for name in dict.fromkeys(row["campaign"] for row in results):
        mine = [row for row in results if row["campaign"] == name]
        title = f"{name}: {questions.get(name) or 'what did it change?'}"
        console.print(tables.plain(title, shown, [_cells(row) for row in mine]))
        for row in mine:
            if row["segment"] == "all":
                console.print(_sentence(row, config.currency), soft_wrap=True)


def _cells(row: Mapping[str, Any]) -> list[Any]:
    money = row["metric"] == "value"
    interval = "" if row["ci_low"] is None else f"{_amount(row['ci_low'], money)} to {_amount(row['ci_high'], money)}"
    return [
        row["segment"], row["arm"], row["metric"], row["treated"], row["held_out"],
        _amount(row["treated_mean"], money), _amount(row["holdout_mean"], money), _amount(row["uplift"], money),
        interval, "" if row["p_adjusted"] is None else f"{row['p_adjusted']:.3g}",
        "" if row["roi"] is None else f"{row['roi']:+.0%}", row["verdict"], row["needed"],
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
