"""What is printed for people: text as it is, tables that fit, and the words of `explain`."""

import io
import json
from decimal import Decimal
from pathlib import Path

import pytest
from config_examples import ACTION, project, put
from rich.console import Console

from rfm_spark import config as configs
from rfm_spark.config import from_data
from rfm_spark.errors import ConfigError
from rfm_spark.report import reference, tables
from rfm_spark.report.console import console
from rfm_spark.report.explain import distance, scores
from rfm_spark.report.moves import IN_WORDS
from rfm_spark.report.show import known_table, print_segments
from rfm_spark.steps import migrations


def printed(*renderables, width: int = 140) -> str:
    """What the command's console prints, at a width."""
    printer, file = console(), io.StringIO()
    printer.file, printer.width = file, width
    for renderable in renderables:
        printer.print(renderable)
    return file.getvalue()


def cells(text: str) -> list[tuple[str, ...]]:
    return [
        tuple(cell.strip() for cell in line.strip("│┃").split(line[0]))
        for line in text.splitlines()
        if line[:1] in ("│", "┃")
    ]


# --- text of others --------------------------------------------------------------------------------------------------

MARKUP = ("[/b] closes nothing", "a [bold]word[/bold]", "[abc] x", "[link=x]", ":smile: \\[x]")


@pytest.mark.parametrize("text", MARKUP)
def test_text_of_others_is_printed_as_it_is(text):
    """A reason, a customer's attribute, a run's message or a title may hold what rich reads as markup."""
    assert text in printed(text)
    assert cells(printed(tables.plain("t", ("a", "b"), [(text, 1)]))) == [("a", "b"), (text, "1")]
    assert printed(tables.plain(text, ("a",), [("x" * 40,)])).startswith(text)
    assert cells(printed(tables.sources({}, [text])))[1][0] == text


def test_segments_named_and_asked_with_brackets():
    data = project()
    put(data, "segmentations.0.question", "[/who] is worth what?")
    put(data, "segmentations.0.segments.0.action", ACTION | {"decision": "[/call] them"})
    config = from_data(data)
    shown = printed(
        tables.segments(
            [profile("best", action=config.segmentations[0].segments[0].action)], config, config.segmentations[0]
        )
    )
    assert shown.startswith("value: [/who] is worth what?")
    assert cells(shown)[-1][-2:] == ("[/call] them", "email")


def test_a_masked_record_keeps_its_brackets():
    assert tables.masked('{"a": "[/ann]", "b": {"c": 12}}') == '{"a": "[/xxx]", "b": {"c": "99"}}'


# --- the table of segments -------------------------------------------------------------------------------------------


def profile(name: str, action=None, **values) -> dict:
    """A row of `segment_profiles`."""
    return {
        "segmentation": "value",
        "segment": name,
        "customers": 12_345,
        "share": 0.987,
        "monetary": Decimal("98765432.10"),
        "monetary_share": 0.5,
        "median_recency_days": 345.0,
        "median_frequency": 12.0,
        "median_monetary": 98765.43,
        "action": json.dumps(
            (action and action.model_dump()) or {"decision": "Invite to buy again", "channel": "telephone"}
        ),
        **values,
    }


@pytest.mark.parametrize("width", [100, 120, 140])
def test_names_and_numbers_of_segments_are_never_cut(width):
    config = from_data(project())
    wide = width >= tables.WIDE
    shown = printed(
        tables.segments([profile("potential_loyalist")], config, config.segmentations[0], wide=wide), width=width
    )
    assert max(map(len, shown.splitlines())) <= width
    row = next(row for row in cells(shown) if row[0] == "potential_loyalist")
    assert row[1:8] == ("12,345", "98.7%", "98,765,432.10", "50.0%", "345", "12", "98,765.43")
    assert "…" not in shown
    words = " ".join(word for row in cells(shown) for word in row)
    assert all(word in words for word in ("customers", "recency", "frequency", "monetary", "Invite", "again"))


def test_no_two_columns_are_called_alike():
    config = from_data(project())
    table = tables.segments([], config, config.segmentations[0])
    headers = [str(column.header).replace("\n", " ") for column in table.columns]
    assert headers == [
        *("segment", "customers", "share", "GBP", "share of GBP"),
        *("median recency days", "median frequency", "median monetary", "decision", "channel"),
    ]


def test_segments_stand_in_the_order_of_the_rules_and_the_empty_are_named():
    config, file = from_data(project()), io.StringIO()
    print_segments(Console(file=file, width=140), config, [profile("rest", customers=0), profile("best")])
    assert [row[0] for row in cells(file.getvalue())][-2:] == ["best", "rest"]
    assert "Nobody is in: rest." in file.getvalue()


def test_numbers_stand_to_the_right():
    shown = printed(tables.plain("t", ("name", "rows"), [("a", 1), ("b", 1000)]))
    assert [line for line in shown.splitlines() if line.startswith("│")] == ["│ a    │     1 │", "│ b    │ 1,000 │"]


# --- explain and show ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "cuts", "better", "told"),
    [
        (None, [1.0], "high", "has no value, so scores 1"),
        (5.0, [], "high", "no cut-points to compare with, so scores 1"),
        (5.0, [], "low", "no cut-points to compare with, so scores 1"),
        (5.0, [1.0, 4.0], "high", "the best score"),
        (2.0, [1.0, 4.0], "high", "over 2 more (above 4)"),
        (4.0, [1.0, 4.0], "high", "any more (above 4)"),
        (1.0, [1.0, 4.0], "low", "the best score"),
        (6.0, [1.0, 4.0], "low", "2 less (at most 4)"),
    ],
)
def test_the_distance_to_the_next_score(value, cuts, better, told):
    assert distance(value, cuts, better) == told


@pytest.mark.parametrize(
    ("stored", "group", "told"),
    [
        ({"UK": 3.0, "FR": 7.0}, "FR", "7"),
        ({"UK": 3.0, "(none)": 7.0}, "(none)", "7"),
        ({"UK": 3.0}, "FR", "none"),  # nobody of that group was there to fit on
        ({"all": 3.0}, "FR", "3"),  # frozen from a snapshot without groups
    ],
)
def test_explain_takes_the_cut_points_that_scored_the_customer(stored, group, told):
    data = project()
    put(data, "segmentations.0.criteria", ["f"])
    put(data, "segmentations.0.scoring", {"bins": 2, "group_by": "country"})
    put(data, "segmentations.0.segments.0.when", "f >= 2")
    config = from_data(data)
    cuts = [{"criterion": "f", "group": each, "position": 1, "value": cut} for each, cut in stored.items()]
    (row,) = scores(config, config.segmentations[0], {"frequency": 1}, {"country": group}, cuts, {"f_score": 1})
    assert row[:5] == ("f", "frequency", 1, told, 1)


def test_a_stored_project_is_the_project_without_its_secrets():
    data = project()
    put(data, "sources.0.path", "s3a://KEY:SECRET@bucket/orders.csv")
    config = from_data(data)
    again = configs.from_resolved(json.dumps(configs.resolved(config), sort_keys=True))
    assert again.sources[0].path == "s3a://(removed)@bucket/orders.csv"
    assert configs.resolved(again) == configs.resolved(config)


def test_a_stored_project_keeps_the_order_of_its_scores():
    data = project()
    put(data, "segmentations.0.criteria", ...)
    config = from_data(data)
    again = configs.from_resolved(json.dumps(configs.resolved(config), sort_keys=True))
    assert list(again.criteria_of(again.segmentations[0])) == list(config.criteria)
    put(data, "criteria", dict(reversed(data["criteria"].items())))
    assert configs.config_hash(from_data(data)) != configs.config_hash(config)


def test_a_stored_project_of_another_version_is_refused():
    with pytest.raises(ConfigError, match="of another version of rfm_spark"):
        configs.from_resolved('{"project": "x", "fields": "of long ago"}')


def test_every_table_can_be_shown():
    assert known_table("current_segments") == "current_segments"
    with pytest.raises(ConfigError, match=r"did you mean cut_points\?"):
        known_table("cutpoints")


# --- README ----------------------------------------------------------------------------------------------------------

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_readmes_tables_are_the_declared_ones():
    assert reference.updated(README) == README, "write it again: python -m rfm_spark.report.reference README.md"


def test_readmes_segments_look_as_the_command_prints_them():
    """The numbers are checked on the demo itself; here, how they are set."""
    config = configs.load(Path(__file__).parents[2] / "conf" / "online_retail.yaml")
    actions = {segment.name: segment.action for segment in config.segmentations[0].segments}
    profiles = []
    for name, customers, share, money, money_share, *medians, _, _ in filter(
        lambda row: row[0] in actions, cells(README)
    ):
        numbers = [float(text.replace(",", "")) if text else None for text in medians]
        profiles.append(
            profile(
                name,
                actions[name],
                customers=int(customers.replace(",", "")),
                share=float(share.strip("%")) / 100,
                monetary=Decimal(money.replace(",", "")),
                monetary_share=float(money_share.strip("%")) / 100,
                **dict(zip(("median_recency_days", "median_frequency", "median_monetary"), numbers, strict=True)),
            )
        )
    assert len(profiles) == len(actions)
    shown = printed(tables.segments(profiles, config, config.segmentations[0]))
    assert "\n".join(line.rstrip() for line in shown.splitlines()) in README


# --- moves -----------------------------------------------------------------------------------------------------------


def test_every_cause_has_words_that_hold_however_it_was_found():
    """Alone, or together with the causes before it: so they claim neither."""
    causes = {*migrations.ORDER, migrations.NEWCOMER, migrations.RETURNED, migrations.DEPARTED}
    assert set(IN_WORDS) == causes
    assert not any("alone" in words or "together" in words for words in IN_WORDS.values())
