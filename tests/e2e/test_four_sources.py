"""The shipped project of a CSV, a Parquet file, a PostgreSQL and a JSON file: who is one person, by plain reckoning."""

import csv
import json
import re
import shutil
from datetime import date

import pytest
from e2e import shipped
from e2e.commands import rfm_spark
from postgres import PASSWORD, USER, VARIABLE

AS_OF = date(2024, 7, 1)
DATA = shipped.ROOT / "conf" / "data"
pytestmark = pytest.mark.slow_on_spark


@pytest.fixture
def conf(postgres, tmp_path):
    """A copy of the project over a CRM in the server."""
    (tmp_path / "conf").mkdir()
    shutil.copy(shipped.ROOT / "conf" / "four_sources.yaml", tmp_path / "conf")
    (tmp_path / "conf" / "data").symlink_to(DATA)
    postgres.do("DROP SCHEMA IF EXISTS crm CASCADE", *statements())
    return tmp_path / "conf" / "four_sources.yaml"


def statements() -> list[str]:
    text = (DATA / "four_sources_crm.sql").read_text(encoding="utf-8")
    return [part for part in (one.strip() for one in text.split(";\n")) if part]


def sets(postgres) -> list[str]:
    own = {"url": postgres.url, "user": USER, "password": f"{{env: {VARIABLE}}}"}
    each = [f"sources.{name}.{key}={value}" for name in ("calls", "crm") for key, value in own.items()]
    return [part for one in each for part in ("--set", one)]


def test_four_systems_know_one_person(spark, postgres, conf):
    from rfm_spark import Project

    command = ("--as-of", AS_OF, *sets(postgres))
    said = rfm_spark(spark, "run", conf, *command)
    assert said.code == 0, said.log
    assert PASSWORD not in said.out + said.log
    project = Project.load(conf)
    events = project.read(spark, "events").collect()
    people = {(row.source, row.source_customer_id): row.customer_key for row in events}
    assert people == people_by_reckoning(people)
    (run,) = project.read(spark, "runs").collect()
    assert {name: run.counts[f"{name}.quarantined"] for name in ("web_shop", "till", "newsletter", "calls", "crm")} == {
        "web_shop": 0, "till": 0, "newsletter": 0, "calls": 0, "crm": 0,
    }  # fmt: skip
    postgres.do("INSERT INTO crm.calls VALUES (9001, 1, '07700 900000', '2024-06-30 09:00+00')")
    again = rfm_spark(spark, "run", conf, *command)
    assert again.code == 0, again.log
    assert again.row("calls")[:4] == ("2", "1", "0", "1")
    after = {(r.source, r.source_customer_id): r.customer_key for r in project.read(spark, "events").collect()}
    assert people.items() <= after.items()


def people_by_reckoning(found: dict) -> dict:
    """Who is whom by the ids in the files alone, each group under the key that it was found to have."""
    root: dict = {}

    def top(node):
        while root.get(node, node) != node:
            node = root[node]
        return node

    for customer, known in ids_of_customers(found).items():
        for one in known - {""}:
            root[top(one)] = top(customer)
    keys = {top(customer): key for customer, key in found.items()}
    assert len(set(keys.values())) == len(keys)
    return {customer: keys[top(customer)] for customer in found}


def ids_of_customers(found: dict) -> dict:
    """Every id that the files hold of each customer of a source; of the till those that were `found`."""
    ids: dict = {}
    with (DATA / "four_sources_web.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            ids.setdefault(("web_shop", row["account"]), set()).update([mail(row["email"]), phone(row["phone"])])
    for line in (DATA / "four_sources_newsletter.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        ids.setdefault(("newsletter", row["subscriber"]), set()).add(mail(row["address"]))
    for source, who in found:
        if source == "till" and not who.startswith("guest"):
            ids[source, who] = {f"card {who}"}
    crm = "\n".join(statements())
    words, cell = r"'\w+', " * 3, r"(NULL|'[^']+'), "
    cells = re.findall(rf"^\((\d+), {words}'[\d-]+', {cell}{cell}{cell}", crm, re.M)
    for number, card, address, number_of in cells:
        known = {f"card {card.strip(chr(39))}" if card != "NULL" else "", mail(address), phone(number_of)}
        ids.setdefault(("crm", number), set()).update(known)
    for number, caller in re.findall(r"^\(\d+, (\d+), '(0[\d ]+)', ", crm, re.M):
        ids.setdefault(("calls", number), set()).add(phone(caller))
    return ids


def mail(text: str) -> str:
    text = text.strip("' ").lower()
    return "" if text == "null" or text.startswith("test@") else text


def phone(text: str) -> str:
    digits = re.sub(r"\D", "", text)
    return "" if len(digits) < 6 else "+44" + digits.removeprefix("44").removeprefix("0")
