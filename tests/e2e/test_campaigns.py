"""Campaigns from end to end: who is contacted, what is exported, and what is measured, against plain Python."""

import random
import shutil
import statistics
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from e2e import marketing
from e2e.commands import rfm_spark
from e2e.marketing import exported, rows

from rfm_spark.steps.holdouts import draw_in_python

pytestmark = pytest.mark.on_sail


def test_who_is_contacted(spark, shop):
    audience, consents = rows(spark, shop, "audiences"), rows(spark, shop, "consents")
    real = [row for row in audience if row["campaign"] != "global_holdout"]
    treated = [row for row in real if row["group"] == "treatment"]
    assert max(Counter(row["customer_key"] for row in real).values()) == 1, "one person, one message"
    granted = {c["customer_key"] for c in consents if c["status"] == "granted" and c["expires_at"] is None}
    refused = {c["customer_key"] for c in consents if c["status"] == "refused" and c["kind"] == "consent"}
    never = {c["customer_key"] for c in consents if c["kind"] == "suppression"}
    assert {row["customer_key"] for row in real} <= granted - refused - never
    staff = {c["customer_key"] for c in consents if c["kind"] == "exclusion"}
    assert not staff & {row["customer_key"] for row in real if row["campaign"] == "win"}
    contacted = {e["customer_key"] for e in rows(spark, shop, "events") if e["event_type"] == "contact"}
    assert contacted
    assert not contacted & {row["customer_key"] for row in real}, "all of them within the cool-down"
    assert sum(row["cost"] for row in treated if row["campaign"] == "win") == Decimal("20"), "to the last penny"
    for row in real:
        share = {"win": 1000, "everybody": 3000}[row["campaign"]]
        assert row["draw"] == draw_in_python(row["campaign"], row["customer_key"])
        assert (row["group"] == "holdout") == (row["draw"] < share)
        assert draw_in_python("global", row["customer_key"]) >= 500
        assert (row["message"] is None) == (row["group"] == "holdout")


def test_everybody_held_out_of_all_is_of_those_selected(spark, shop):
    audience = rows(spark, shop, "audiences")
    of_all = {row["customer_key"]: row for row in audience if row["campaign"] == "global_holdout"}
    selected = {row["customer_key"]: row["campaign"] for row in audience if row["campaign"] != "global_holdout"}
    held = {who for who, row in of_all.items() if row["group"] == "holdout"}
    assert held
    assert held == {who for who in of_all if draw_in_python("global", who) < 500}
    assert {who: row["segment"] for who, row in of_all.items() if who not in held} == selected


def test_who_was_assigned_counts_as_contacted_once_the_send_is_over(spark, shop, tmp_path):
    config = shutil.copytree(shop.parent, tmp_path / "p") / "project.yaml"
    before = {row["customer_key"] for row in rows(spark, config, "audiences") if row["cost"]}
    later = ("--set", "campaigns.everybody.start=2020-07-10")
    said = rfm_spark(spark, "target", config, "--as-of", "2020-07-08", *later)
    assert said.code == 0, said.log
    again = {row["customer_key"] for row in rows(spark, config, "audiences") if row["campaign"] == "everybody"}
    assert again
    assert not again & before, "none of them has a contact event"


def test_a_campaign_that_is_renamed_before_its_send_contacts_the_same(spark, shop, tmp_path):
    config = shutil.copytree(shop.parent, tmp_path / "p") / "project.yaml"

    def drawn():
        return {(row["campaign"], row["customer_key"]) for row in rows(spark, config, "audiences")}

    before, renamed = drawn(), ("--set", "campaigns.win.salt=win", "--set", "campaigns.win.name=winter")
    said = rfm_spark(spark, "target", config, "--as-of", marketing.AS_OF, *renamed)
    assert (said.code, "audiences are withdrawn: win;" in said.log + said.out) == (0, True), said.log
    assert drawn() == {({"win": "winter"}.get(campaign, campaign), who) for campaign, who in before}
    sent = rfm_spark(spark, "target", config, "--as-of", "2020-07-08", "--set", "campaigns.everybody.start=2020-07-09",
                     "--set", "campaigns.win.name=summer")  # fmt: skip
    assert (sent.code, "withdrawn" in sent.log + sent.out) == (0, False)
    assert "winter" in {campaign for campaign, _ in drawn()}, "what was sent stays"


def test_who_is_in_the_study_of_all_campaigns_stays_once_a_campaign_is_sent(spark, shop, tmp_path):
    config = shutil.copytree(shop.parent, tmp_path / "p") / "project.yaml"

    def of_all():
        found = [row for row in rows(spark, config, "audiences") if row["campaign"] == "global_holdout"]
        assert len({row["customer_key"] for row in found}) == len(found)
        return {row["customer_key"]: row for row in found}

    def target(day, **changed):
        said = rfm_spark(spark, "target", config, "--as-of", day, *(f"--set={k}={v}" for k, v in changed.items()))
        assert said.code == 0, said.log

    first = of_all()
    target("2020-07-08", **{"campaigns.everybody.start": "2020-07-30"})
    assert {who: row["run_id"] for who, row in of_all().items() if who in first} == {
        who: row["run_id"] for who, row in first.items()
    }, "both campaigns are sent, and one is drawn again"
    salted = {"campaigns.everybody.start": "2020-07-30", "targeting.salt": "another"}
    target("2020-07-08", **salted)
    assert {row["segment"] for row in of_all().values()} == {"everybody"}, "another draw begins anew"


def test_a_message_is_rendered_and_sent_outside_of_quiet_hours(spark, shop):
    zones = {row["customer_key"]: row["zone"] for row in rows(spark, shop, "customers")}
    for row in rows(spark, shop, "audiences"):
        if row["campaign"] != "win" or row["group"] != "treatment":
            continue
        assert row["message"].startswith(("Hello Ann, p", "Hello &lt;b&gt;Bob&lt;/b&gt;, p", "Hello there, p"))
        zone = zones[row["customer_key"]]
        zone = zone if zone in ("Europe/London", "America/New_York") else "Europe/London"
        local = row["send_at"].replace(tzinfo=UTC).astimezone(ZoneInfo(zone))
        assert (local.date(), local.hour, local.minute) == (date(2020, 7, 5), 10, 0)


def test_a_plan_publishes_nothing_and_advises(spark, shop):
    before = len(rows(spark, shop, "runs"))
    said = rfm_spark(spark, "target", shop, "--as-of", marketing.AS_OF, "--plan")
    assert said.code == 0
    assert len(rows(spark, shop, "runs")) == before
    assert "Plan: nothing was published or exported." in said.out
    assert {"good", "(mid)", "(rest)"} <= {row[0] for row in said.rows}, "segments of no campaign are weighed too"
    assert any("suppressed" in line and "consent_expired" in line and "no_consent" in line for line in said.lines)
    assert any("measurable with power 80%" in line for line in said.lines)


def test_what_is_measured_is_what_happened(spark, shop, tmp_path):
    folder = shutil.copytree(shop.parent, tmp_path / "p")
    config, rng = folder / "project.yaml", random.Random(5)
    people = [row for row in rows(spark, config, "audiences") if row["campaign"] == "everybody"]
    bought, outcome = [], {}
    for row in people:
        sent, money, times = row["send_at"].replace(tzinfo=UTC), Decimal(0), 0
        local = sent.astimezone(ZoneInfo("Europe/London")).replace(tzinfo=None)
        for hours in (-1, 0, 24 * 14 - 1, 24 * 14):  # the window's ends: the first belongs to it, the last does not
            if rng.random() < (0.5 if row["group"] == "treatment" else 0.25):
                amount = Decimal(rng.randrange(100, 9000)) / 100
                bought.append((row["customer_key"], local + timedelta(hours=hours), str(amount), "sale"))
                if 0 <= hours < 24 * 14:
                    money, times = money + amount, times + 1
        if rng.random() < 0.2:
            bought.append((row["customer_key"], local + timedelta(days=2), "1.25", "back"))
            money -= Decimal("1.25")
        outcome[row["customer_key"]] = (row["group"], row["segment"], times > 0, money)
    marketing.buy(folder, "summer", bought)
    assert rfm_spark(spark, "ingest", config, "--as-of", marketing.AFTER).code == 0
    said = rfm_spark(spark, "measure", config, "--as-of", marketing.AFTER)
    assert said.code == 0, said.log
    results = {(r["campaign"], r["segment"], r["metric"]): r for r in rows(spark, config, "campaign_results")}
    for segment in ("all", "mid", "rest"):
        groups = {
            name: [o for o in outcome.values() if o[0] == name and segment in ("all", o[1])]
            for name in ("treatment", "holdout")
        }
        for metric, value in (("rate", 2), ("value", 3)):
            row = results["everybody", segment, metric]
            means = [statistics.fmean(float(o[value]) for o in groups[name]) for name in ("treatment", "holdout")]
            assert (row["treated"], row["held_out"]) == tuple(map(len, groups.values()))
            assert (row["treated_mean"], row["holdout_mean"]) == pytest.approx(tuple(means))
            assert row["uplift"] == pytest.approx(means[0] - means[1])
            assert row["ci_low"] < row["uplift"] < row["ci_high"]
    whole = results["everybody", "all", "value"]
    assert whole["cost"] == pytest.approx(0.25 * whole["treated"])
    assert whole["roi"] == pytest.approx((whole["uplift"] * whole["treated"] - whole["cost"]) / whole["cost"])
    assert results["everybody", "all", "rate"]["verdict"] in ("worked", "inconclusive")
    assert ("global_holdout", "everybody", "value") in results
    planned = rfm_spark(
        spark, "target", config, "--as-of", marketing.AFTER, "--plan", "--set", "campaigns.everybody.start=2020-09-01"
    )
    conclusive = whole["verdict"] != "inconclusive"
    assert any("as measured before" in line for line in planned.lines) == conclusive, "the next plan uses it"


def test_an_assignment_of_another_tool(spark, tmp_path):
    sent = {"format": "csv", "path": "sent.csv", "columns": {"source_customer_id": "id", "group": "arm"}}
    campaign = {
        "name": "theirs",
        "start": "2020-07-05",
        "cost_per_contact": 0.5,
        "assignment": sent,
        "segments": {"value": ["good"]},
    }
    config = marketing.write_project(tmp_path / "p", [campaign], people=120)
    rng, arms = random.Random(6), {}
    for n in range(400):  # most of them are unknown to events
        arms[f"c{n:04d}"] = rng.choice(["treatment", "holdout"])
    lines = [f"{who}\u00a0,{arm}\t" for who, arm in arms.items()]  # with blanks that sources do without, too
    lines += ["c0001,treatment", "c0001,holdout", f"c0002,{arms['c0002']}", ",holdout"]
    (tmp_path / "p" / "sent.csv").write_text("\n".join(["id,arm", *lines]) + "\n", encoding="utf-8")
    marketing.buy(
        tmp_path / "p",
        "summer",
        [(f"c{n:04d}", datetime(2020, 7, 5 + n % 14, 0, 30), "10.00", "sale") for n in range(60)],
    )
    assert rfm_spark(spark, "run", config, "--as-of", marketing.AS_OF).code == 0
    assert rfm_spark(spark, "ingest", config, "--as-of", marketing.AFTER).code == 0
    said = rfm_spark(spark, "measure", config, "--as-of", marketing.AFTER)
    assert said.code == 0, said.log
    assert any("1 rows of the assignment name no customer" in line for line in said.lines)
    row = {(r["segment"], r["metric"]): r for r in rows(spark, config, "campaign_results")}["all", "rate"]
    del arms["c0001"]
    assert row["contaminated"] == 1
    assert (row["treated"], row["held_out"]) == tuple(
        sum(a == g for a in arms.values()) for g in ("treatment", "holdout")
    )
    treated = [int(who[1:]) < 60 for who, arm in arms.items() if arm == "treatment"]
    assert row["treated_mean"] == pytest.approx(statistics.fmean(treated))
    early = rfm_spark(spark, "measure", config, "--as-of", "2020-07-10")
    assert early.code == 0
    assert all("The window is not over yet." in line for line in early.lines if line.startswith("theirs, treatment"))
    share = rfm_spark(
        spark, "measure", config, "--as-of", marketing.AFTER, "--set", "campaigns.theirs.holdout_share=0.2"
    )
    assert any("no verdict" in line for line in share.lines), "the groups are not of the sizes that were drawn"
    assert {r["needed"] for r in rows(spark, config, "campaign_results")} == {None}, "no size mends a faulty draw"
    (tmp_path / "p" / "sent.csv").write_text("id,arm\nc0001,control\nc0002,treatment\n", encoding="utf-8")
    wrong = rfm_spark(spark, "measure", config, "--as-of", marketing.AFTER)
    assert wrong.code == 2
    assert "1 of 2 rows with another group" in wrong.log
    assert "control" not in wrong.log
    (tmp_path / "p" / "sent.csv").write_text("id,arm\nc0001,treatment\n", encoding="utf-8")
    for lines in ("id,arm\n", "id,arm\n,treatment\n"):
        (tmp_path / "p" / "none.csv").write_text(lines, encoding="utf-8")
        of_none = ("--set", f"campaigns.theirs.assignment.path={tmp_path / 'p' / 'none.csv'}")
        none = rfm_spark(spark, "measure", config, "--as-of", marketing.AFTER, *of_none)
        assert (none.code, "found no row that names a customer" in none.log) == (2, True)
    nobody = rfm_spark(spark, "measure", config, "--as-of", marketing.AFTER)
    assert (nobody.code, "found nobody in holdout, expected" in nobody.log) == (2, True)
    typo = ("--set", "campaigns.theirs.assignment.columns.group={sql: upper(armm)}")
    told = rfm_spark(spark, "measure", config, "--as-of", marketing.AFTER, *typo)
    assert (told.code, "campaigns.theirs.assignment.columns.group.sql: no column armm" in told.log) == (2, True)


def test_a_campaign_that_held_nobody_out_leaves_the_others_their_results(spark, shop, tmp_path):
    config = shutil.copytree(shop.parent, tmp_path / "p") / "project.yaml"
    none = ("--set", "campaigns.win.holdout_share=0")
    assert rfm_spark(spark, "target", config, "--as-of", marketing.AS_OF, *none).code == 0
    said = rfm_spark(spark, "measure", config, "--as-of", marketing.AFTER)
    assert said.code == 0, said.log
    assert any("campaign win: audience: found nobody in holdout, expected" in line for line in said.lines)
    assert {row["campaign"] for row in rows(spark, config, "campaign_results")} == {
        "everybody",
        "global_holdout",
    }


def test_an_audience_of_nobody_is_told_from_none(spark, shop, tmp_path):
    config = shutil.copytree(shop.parent, tmp_path / "p") / "project.yaml"
    by_nothing = ("--set", "campaigns.win.channel=pigeon")
    assert rfm_spark(spark, "target", config, "--as-of", marketing.AS_OF, *by_nothing).code == 0
    assert exported(config.parent / "out" / "csv") == []
    said = rfm_spark(spark, "measure", config, "--as-of", marketing.AFTER, "--set", "campaigns.win.name=won")
    assert any("campaign won has no audience: run `rfm-spark target`" in line for line in said.lines)
    said = rfm_spark(spark, "measure", config, "--as-of", marketing.AFTER)
    assert any("campaign win has an empty audience" in line for line in said.lines)


def test_the_command_that_makes_a_table_is_named(spark, shop, tmp_path):
    for table, command in {"models": "predict", "audiences": "target", "campaign_results": "measure"}.items():
        said = rfm_spark(spark, "show", shop, table, "--as-of", marketing.AS_OF, "--lake", tmp_path / "none")
        assert (said.code, f"run `rfm-spark {command}` first" in said.log) == (2, True)


def test_what_cannot_be_done_is_said(spark, shop):
    over = rfm_spark(spark, "target", shop, "--as-of", "2020-07-06")
    assert (over.code, "found no campaign that sends at or after 2020-07-06" in over.log) == (2, True)
    early = rfm_spark(spark, "measure", shop, "--as-of", "2020-07-01")
    assert (early.code, "starts on 2020-07-05" in early.log) == (2, True)
    renamed = ("segmentations.value.segments.mid.name=middle", "campaigns.everybody.segments.value=[good, middle]")
    changed = [word for one in renamed for word in ("--set", one)]
    later = rfm_spark(spark, "target", shop, "--as-of", marketing.AS_OF, *changed)
    assert (later.code, "made without the segment value.middle (campaign everybody)" in later.log) == (2, True)


@pytest.mark.slow
def test_the_campaigns_of_complete_journey(spark, tmp_path):
    from e2e import shipped

    (tmp_path / "conf").mkdir()
    config = tmp_path / "conf" / "project.yaml"
    text = (shipped.ROOT / "conf" / "complete_journey_campaigns.yaml").read_text(encoding="utf-8")
    config.write_text(text, encoding="utf-8")
    (tmp_path / "conf" / "data").symlink_to(shipped.ROOT / "conf" / "data")
    for command in (["run"], ["target", "--plan"], ["target"], ["measure"]):
        said = rfm_spark(spark, command[0], config, "--as-of", "2018-01-01", *command[1:])
        assert said.code == 0, said.log
    assert any("cooling_down" in line for line in rfm_spark(spark, "target", config, "--as-of", "2018-01-01").lines)
    audience = rows(spark, config, "audiences")
    treated = [row for row in audience if row["group"] == "treatment"]
    assert sum(row["cost"] for row in treated) == Decimal("60")
    mailed = {
        event["customer_key"]
        for event in rows(spark, config, "events")
        if event["event_type"] == "contact" and event["event_date"] >= date(2017, 12, 13)
    }
    assert mailed
    assert not mailed & {row["customer_key"] for row in audience}
    results = {row["metric"]: row for row in rows(spark, config, "campaign_results")}
    assert (results["value"]["treated"], results["value"]["held_out"]) == (1133, 1244)
    assert {row["verdict"] for row in results.values()} == {"inconclusive"}, "nobody was held out by chance"
    assert results["value"]["roi"] is None


@pytest.mark.slow
def test_who_turns_out_to_be_one_person_in_both_groups_is_left_out(spark, tmp_path):
    import yaml

    everybody = {**marketing.EVERYBODY, "expected": {"value": 5}}
    config = marketing.write_project(tmp_path / "p", [everybody], people=150)
    data = yaml.safe_load(config.read_text(encoding="utf-8"))
    data |= {"identity": {"ids": {"email": {}}}, "targeting": {}}
    for source in data["sources"]:
        source["ids"] = {"email": "id" if source["name"] != "crm" else "email"}
    config.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    crm = tmp_path / "p" / "crm.csv"
    lines = crm.read_text(encoding="utf-8").splitlines()

    def profiles(more):
        rows = [f"{line},{line.split(',')[0]}" for line in lines[1:]] + [f"{a},,,{b}" for a, b in more.items()]
        crm.write_text("\n".join(["id,first_name,zone,email", *rows]) + "\n", encoding="utf-8")

    profiles({})
    assert rfm_spark(spark, "run", config, "--as-of", marketing.AS_OF).code == 0
    assert rfm_spark(spark, "target", config, "--as-of", marketing.AS_OF).code == 0
    audience = {row["customer_key"]: row["group"] for row in rows(spark, config, "audiences")}
    own = {r["customer_key"]: r["id_value"] for r in rows(spark, config, "identities") if r["id_type"] == "email"}
    treated, held = ([own[who] for who, group in audience.items() if group == g] for g in ("treatment", "holdout"))
    profiles({treated[0]: held[0], treated[1]: treated[2]})  # two of both groups are one, and two of one group
    assert rfm_spark(spark, "ingest", config, "--as-of", marketing.AFTER).code == 0
    said = rfm_spark(spark, "measure", config, "--as-of", marketing.AFTER)
    assert said.code == 0, said.log
    row = {(r["segment"], r["metric"]): r for r in rows(spark, config, "campaign_results")}["all", "rate"]
    assert (row["contaminated"], row["treated"], row["held_out"]) == (1, len(treated) - 2, len(held) - 1)
    profiles({})  # and they are several again
    assert rfm_spark(spark, "ingest", config, "--as-of", marketing.AFTER).code == 0
    assert rfm_spark(spark, "measure", config, "--as-of", marketing.AFTER).code == 0
    row = {(r["segment"], r["metric"]): r for r in rows(spark, config, "campaign_results")}["all", "rate"]
    assert (row["contaminated"], row["treated"], row["held_out"]) == (0, len(treated), len(held))
