"""A refund under another id of the same person reduces the order that the person bought."""

import csv
from datetime import date
from decimal import Decimal

import pytest
import yaml
from e2e import people

from rfm_spark import Project

pytestmark = pytest.mark.on_sail
DAY, LATER = date(2024, 6, 1), date(2024, 6, 2)
BOUGHT = [  # (customer, card, order, total), on the first of May
    ("t1", "K1", "A1", "10.00"),
    ("t1", "K1", "A2", "7.00"),
    ("t2", "K2", "B1", "20.00"),
    ("t3", "K3", "C1", "30.00"),
    ("t4", "K4", "D1", "40.00"),
]
RETURNED = [  # (ticket, mail, order, total), on the tenth of May
    ("d1", "Ann@example.com", "A1", "4.00"),
    ("d2", "bob@example.com", "B1", "20.00"),
    ("d3", "eve@example.com", "C1", "5.00"),  # of an order that somebody else bought
    ("d4", "dan@example.com", "D1", "15.00"),  # whose card is known a day later
    ("d5", "ann@example.com", "Z9", "1.00"),  # of no order
]
KNOWN = [("c1", "K1", "ann@example.com"), ("c2", "K2", "bob@example.com"), ("c3", "K3", "cat@example.com")]
LINKED_LATER = ("c4", "K4", "dan@example.com")


@pytest.fixture
def project(tmp_path):
    """Bought at a till with a card, returned at a desk with an e-mail; a CRM knows who has both."""
    path = people.write(tmp_path)
    config = yaml.safe_load(path.read_text())
    columns = {"source_customer_id": "customer", "event_ts": "at", "order_id": "order", "amount": "total"}
    shared = {"format": "csv", "columns": columns}
    till = {"name": "till", "path": "till.csv", "event_type": "purchase", "ids": {"loyalty": "card"}}
    desk = {"name": "desk", "path": "desk.csv", "event_type": "refund", "ids": {"email": "mail"}}
    crm = next(source for source in config["sources"] if source["name"] == "crm")
    config["sources"] = [till | shared, desk | shared, crm]
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    table(tmp_path / "till.csv", ("customer", "card", "order", "total", "at"), [(*r, "2024-05-01") for r in BOUGHT])
    table(tmp_path / "desk.csv", ("customer", "mail", "order", "total", "at"), [(*r, "2024-05-10") for r in RETURNED])
    know(tmp_path, KNOWN)
    return path


def table(path, head, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *rows])


def know(folder, contacts):
    people.crm(folder, [(id_, card, mail, None, "Leeds", "2024-01-01") for id_, card, mail in contacts])


def worth(spark, project, day):
    """{(source, id): (frequency, monetary)} of the newest snapshot, each person under all of its ids."""
    read = Project.load(project).read
    rows = read(spark, "customer_metrics").filter(f"snapshot_date = DATE'{day}'").collect()
    found = {row["customer_key"]: (row["frequency"], row["monetary"]) for row in rows}
    ids = read(spark, "identities").filter("id_type = 'source_customer_id'").collect()
    return {row["id_value"]: found[row["customer_key"]] for row in ids}


def test_it_reduces_the_order(spark, project, tmp_path):
    Project.load(project).run(spark, DAY)
    found = worth(spark, project, DAY)
    assert found["t1"] == found["d1"] == found["c1"] == (2, Decimal("13.00"))
    assert found["t2"] == found["d2"] == (0, Decimal("0.00"))  # all of it went back
    assert found["t3"] == (1, Decimal("30.00"))
    assert found["d3"] == (0, Decimal("0.00"))
    assert (found["t4"], found["d4"]) == ((1, Decimal("40.00")), (0, Decimal("0.00")))
    (held,) = Project.load(project).read(spark, "quarantine").collect()
    assert (held["source"], held["reasons"]) == ("desk", ["refund_without_order"])

    know(tmp_path, [*KNOWN, LINKED_LATER])
    Project.load(project).run(spark, LATER)
    found = worth(spark, project, LATER)
    assert found["t4"] == found["d4"] == (1, Decimal("25.00"))
    assert found["t1"] == (2, Decimal("13.00"))
    assert found["t3"] == (1, Decimal("30.00"))


def test_or_is_subtracted_on_its_day(spark, project):
    Project.load(project, ["refunds.policy=net_on_refund_date"]).run(spark, DAY)
    found = worth(spark, project, DAY)
    assert found["t1"] == (2, Decimal("12.00"))  # what names no order as well
    assert found["t2"] == (1, Decimal("0.00"))
    assert found["t3"] == (1, Decimal("30.00"))
