"""Files that are read again were delivered when they came: what replaced or contradicted another still does."""

import json
from collections import Counter
from pathlib import Path

import pytest
from e2e import faults, landing
from e2e.landing import AS_OF, ONE, TILL, Drop, amounts, ingest, parts, project, rows, shop

pytestmark = pytest.mark.on_sail


@pytest.fixture
def folder(tmp_path) -> Path:
    """An empty landing folder with its project file."""
    landing.write_project(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("on_change", "expected", "quarantined"),
    [("quarantine", 10.0, 1), ("replace", 15.0, 0)],
)
def test_a_corrected_row_contradicts_what_another_file_said_before(spark, folder, on_change, expected, quarantined):
    """As where the other file had come first: it is a later delivery, and not one with it."""
    changes = {"sources.shop.on_change": on_change}
    shared = "1,anna,o1,2024-01-01,sale,10"
    one = Drop("shop/one.csv", shop(shared, "2,ben,o2,2024-01-02,sale,20"))
    ingest(spark, folder, [one, Drop("till/1.json", TILL)], **changes)
    ingest(spark, folder, [Drop("shop/two.csv", shop(shared, "3,carla,o3,2024-01-03,sale,30"))], **changes)
    corrected = Drop("shop/one.csv", one.text.replace("sale,10", "sale,15"))
    for again in ([corrected], []):
        ingest(spark, folder, again, **changes)
        assert amounts(spark, folder)["1", "anna", expected] == 1
        assert sum(amounts(spark, folder).values()) == 3
        assert len(rows(spark, folder, "quarantine")) == quarantined
    ingest(spark, folder, [Drop("shop/one.csv", one.text)], **changes)
    assert amounts(spark, folder) == Counter([("1", "anna", 10.0), ("2", "ben", 20.0), ("3", "carla", 30.0)])
    assert rows(spark, folder, "quarantine") == []


OTHER = shop("1,anna,o1,2024-01-01,sale,15", "3,carla,o3,2024-01-03,sale,30")


def waiting(spark, folder: Path) -> list[tuple[str, str]]:
    """(line, total) of the rows in quarantine, all for one reason: they contradict another."""
    held = project(folder).read(spark, "quarantine").collect()
    assert {tuple(row["reasons"]) for row in held} <= {("duplicate_conflict",)}
    return sorted((record["line"], record["total"]) for record in (json.loads(row["record"]) for row in held))


@pytest.mark.parametrize(
    ("on_change", "expected", "waits"), [("quarantine", 15.0, [("1", "12")]), ("replace", 12.0, [])]
)
def test_a_correction_comes_after_a_row_that_waits(spark, folder, on_change, expected, waits):
    """Neither is lost: the row that waited takes the place that the corrected file has left."""
    one, changes = Drop("shop/one.csv", ONE), {"sources.shop.on_change": on_change}
    ingest(spark, folder, [one, Drop("till/1.json", TILL)], **changes)
    ingest(spark, folder, [Drop("shop/two.csv", OTHER)], **changes)
    ingest(spark, folder, [Drop("shop/one.csv", ONE.replace("sale,10", "sale,12"))], **changes)
    assert amounts(spark, folder)[("1", "anna", expected)] == 1
    assert len(amounts(spark, folder)) == 3
    assert waiting(spark, folder) == waits


@pytest.mark.slow
@pytest.mark.parametrize(
    ("on_change", "expected", "waits"), [("quarantine", 10.0, [("1", "15")]), ("replace", 15.0, [])]
)
def test_files_that_are_judged_again_were_delivered_one_after_the_other(spark, folder, on_change, expected, waits):
    """By another mapping all rows have another content; a later file of the same run comes after them."""
    changes = {"sources.shop.on_change": on_change}
    ingest(spark, folder, [Drop("shop/one.csv", ONE), Drop("till/1.json", TILL)], **changes)
    ingest(spark, folder, [Drop("shop/two.csv", OTHER)], **changes)
    changes |= {"sources.shop.columns.note": "kind"}
    for _ in range(2):
        ingest(spark, folder, [], **changes)
        assert amounts(spark, folder)[("1", "anna", expected)] == 1
        assert len(amounts(spark, folder)) == 3
        assert waiting(spark, folder) == waits
        changes |= {"sources.shop.columns.more": "total"}
    changes |= {"sources.shop.columns.again": "total"}
    ingest(spark, folder, [Drop("shop/six.csv", shop("1,anna,o1,2024-01-01,sale,18"))], **changes)
    last = 18.0 if on_change == "replace" else expected
    assert amounts(spark, folder)[("1", "anna", last)] == 1
    assert len(amounts(spark, folder)) == 3


@pytest.mark.slow
def test_an_event_of_another_date_today_and_replaced_at_once(spark, folder):
    changes = {"sources.shop.on_change": "replace"}
    late = ONE.replace("2024-01-01", "2024-01-01T23:30:00Z")
    ingest(spark, folder, [Drop("shop/one.csv", late), Drop("till/1.json", TILL)], **changes)
    update = Drop("shop/two.csv", shop("1,anna,o1,2024-01-01T23:30:00Z,sale,15"))
    counts = ingest(spark, folder, [update], timezone="Asia/Tokyo", **changes)
    assert parts(counts, "shop")[0] == 4
    assert amounts(spark, folder) == Counter([("1", "anna", 15.0), ("2", "ben", 20.0), ("3", "carla", 30.0)])
    (row,) = project(folder).read(spark, "events").where("event_id = '1'").collect()
    assert str(row["event_date"]) == "2024-01-02"


@pytest.mark.slow
@pytest.mark.parametrize("gone", ["corrected", "withdrawn"])
def test_what_a_row_had_replaced_is_there_again_without_it(spark, folder, monkeypatch, gone):
    """Where a corrected file has it no more, and where only a run that died had read its file, which has gone."""
    changes = {"sources.shop.on_change": "replace"}
    ingest(spark, folder, [Drop("shop/one.csv", ONE), Drop("till/1.json", TILL)], **changes)
    before = amounts(spark, folder)
    if gone == "corrected":
        ingest(spark, folder, [Drop("shop/two.csv", OTHER)], **changes)
        assert amounts(spark, folder)[("1", "anna", 15.0)] == 1
        ingest(spark, folder, [Drop("shop/two.csv", shop("3,carla,o3,2024-01-03,sale,30"))], **changes)
    else:
        landing.land(folder, [Drop("shop/two.csv", OTHER)])
        with monkeypatch.context() as patched:
            faults.kill_after(patched, "events")
            with pytest.raises(faults.Killed):
                project(folder, **changes).ingest(spark, as_of=AS_OF)
        (folder / "shop/two.csv").unlink()
        ingest(spark, folder, [], **changes)
    assert amounts(spark, folder) == before
    assert parts(ingest(spark, folder, [], **changes), "shop") == [0, 0, 0, 0]
    assert amounts(spark, folder) == before
