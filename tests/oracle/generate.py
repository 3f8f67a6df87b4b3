"""A seeded project for the oracle and the pipeline: CSV files in a folder and a config, all corners on purpose.

Three event sources in three time zones and a profile source; thousands of customers of every kind; orders of several
rows, ties, refunds, clock changes, month ends, a leap day; dirty rows of every reason. The seed is RFM_SPARK_TEST_SEED.

Left out because the definitions are silent: blank but not empty ids, fractions of a second, fractions as an int.
"""

from __future__ import annotations

import csv
import os
import random
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import yaml

from oracle.project import CUSTOMERS_FORBIDDEN, project_config

FIXED_SEED = 20240531
CUSTOMERS = 3000
AS_OF = date(2024, 5, 31)  # a month's end: the third sub-period ends on the leap day
LEAP_AS_OF = date(2024, 2, 29)
CORNER_DAYS = [
    date(2023, 5, 30), date(2023, 5, 31), date(2023, 8, 30), date(2023, 8, 31), date(2023, 11, 29), date(2023, 11, 30),
    date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1), date(2024, 5, 30), date(2024, 5, 31), date(2023, 12, 31),
    date(2023, 10, 29), date(2024, 3, 31), date(2023, 11, 5), date(2024, 3, 10), date(2023, 10, 1), date(2024, 4, 7),
    date(2024, 1, 31), date(2020, 2, 29), date(2015, 1, 1),
]  # fmt: skip
CORNER_TIMES = [time(0), time(0, 30), time(1, 30), time(1, 45), time(2, 15), time(2, 30), time(19, 30), time(23, 59)]
PRICES = ["5.0000", "10.0000", "12.5000", "33.3350", "19.9900", "0.0000"]
TOTALS = ["10.00", "20", "49.99", "12.345", "0.005", "1e2", " 30.00 ", "0", "25"]
COLUMNS = {
    "shop": ["invoice", "line", "customer", "kind", "sold_at", "order_ref", "quantity", "price", "note"],
    "web": ["member", "what", "placed", "basket", "total", "note"],
    "touches": ["touch", "person", "kind", "happened", "seconds"],
    "crm": ["id", "town", "age"],
}
KINDS = {
    "buyer": 55, "before_period": 8, "contact_only": 6, "profile_only": 6, "refund_only": 3, "after_as_of": 3,
    "heavy": 10, "both_shops": 9,
}  # fmt: skip


def seed_from_environment() -> int:
    """The seed of this run, printed so that a failure can be repeated."""
    seed = int(os.environ.get("RFM_SPARK_TEST_SEED", FIXED_SEED))
    print(f"RFM_SPARK_TEST_SEED={seed}")
    return seed


@dataclass
class Project:
    """The rows so far, and the random numbers they come from."""

    rng: random.Random
    rows: dict[str, list[dict]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    orders: int = 0

    # --- days and times ---

    def day(self, first: date = date(2022, 6, 1), last: date = AS_OF + timedelta(days=30)) -> date:
        """A day in [first, last], one in four a corner of the calendar."""
        corners = [day for day in CORNER_DAYS if first <= day <= last]
        if corners and self.rng.random() < 0.25:
            return self.rng.choice(corners)
        return first + timedelta(days=self.rng.randrange((last - first).days + 1))

    def moment(self, day: date) -> datetime:
        """A wall-clock time of `day`, one in three where clocks change or the day ends."""
        if self.rng.random() < 0.33:
            return datetime.combine(day, self.rng.choice(CORNER_TIMES))
        return datetime.combine(day, time(self.rng.randrange(24), self.rng.randrange(60), self.rng.randrange(60)))

    # --- good rows ---

    def shop_row(self, customer: str, day: date, order: str, /, **changed) -> dict:
        """A row of the shop's till: quantity times price, London time."""
        rows = self.rows["shop"]
        row = {
            "invoice": f"S{len(rows) // 3:06d}", "line": str(len(rows) % 3 + 1), "customer": customer, "kind": "sale",
            "sold_at": self.moment(day).strftime("%Y-%m-%d %H:%M:%S"), "order_ref": order,
            "quantity": str(self.rng.choice([1, 1, 1, 2, 3])), "price": self.rng.choice(PRICES), "note": "",
        }  # fmt: skip
        rows.append(row | changed)
        return rows[-1]

    def web_row(self, customer: str, day: date, order: str, /, **changed) -> dict:
        """A row of the web shop: a total as text, New York time, no id of its own."""
        placed = self.moment(day).strftime("%Y-%m-%d %H:%M:%S")
        row = {"member": customer, "what": "sale", "placed": placed, "basket": order, "note": ""}
        self.rows["web"].append(row | {"total": self.rng.choice(TOTALS)} | changed)
        return self.rows["web"][-1]

    def touch(self, customer: str, day: date, /, **changed) -> dict:
        """A contact or a visit, in a zone whose clocks change by half an hour."""
        kind = self.rng.choice(["call", "mail", "visit", "visit"])
        seconds = self.rng.choice(["0", "30", "30", "600", "3600", "86400"]) if kind == "visit" else ""
        row = {
            "touch": f"T{len(self.rows['touches']):06d}", "person": customer, "kind": kind,
            "happened": self.moment(day).strftime("%d/%m/%Y %H:%M"), "seconds": seconds,
        }  # fmt: skip
        self.rows["touches"].append(row | changed)
        return self.rows["touches"][-1]

    def profile(self, customer: str, /, **changed) -> None:
        """A line of the customer file."""
        town = self.rng.choice(["Leeds", "Łódź", "York", ""])
        age = self.rng.choice(["", *map(str, range(18, 90, 6))])
        self.rows["crm"].append({"id": customer, "town": town, "age": age} | changed)

    def order_id(self) -> str:
        """A new order's id."""
        self.orders += 1
        return f"O{self.orders:06d}"

    def order(self, customer: str, day: date, shops: tuple[str, ...]) -> None:
        """An order of one to four rows, now and then over several days or two sources, and what comes back of it."""
        order = "" if self.rng.random() < 0.12 else self.order_id()
        paid = Decimal(0)
        for _ in range(self.rng.choice([1, 1, 1, 2, 2, 4])):
            line_day = day + timedelta(days=self.rng.choice([0] * 12 + [1, 2, 40]))
            if self.rng.choice(shops) == "shop":
                row = self.shop_row(customer, line_day, order)
                paid += cents(Decimal(row["quantity"]) * Decimal(row["price"]))
            else:
                paid += cents(Decimal(self.web_row(customer, line_day, order)["total"].strip()))
        if order and self.rng.random() < 0.18:
            self.refund(customer, day, order, paid)

    def refund(self, customer: str, day: date, order: str, paid: Decimal) -> None:
        """Some, all or more than all of an order back, also before it or long after."""
        later = day + timedelta(days=self.rng.choice([-1, 0, 1, 7, 30, 60, 90]))
        back = self.rng.choice([cents(paid / 2), paid, paid, paid + 5])
        if self.rng.random() < 0.5:
            quantity = self.rng.choice(["1", "-1"])
            self.shop_row(customer, later, order, kind="return", quantity=quantity, price=f"{back:.4f}")
        else:
            self.web_row(customer, later, order, what="return", total=self.rng.choice(["", "-"]) + str(back))


def cents(amount: Decimal) -> Decimal:
    """`amount` half up to the cent."""
    return amount.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def generate(seed: int, customers: int = CUSTOMERS) -> dict[str, list[dict]]:
    """The rows of every source, the same for the same seed."""
    project = Project(random.Random(seed))
    kinds = project.rng.choices(list(KINDS), list(KINDS.values()), k=customers)
    for number, kind in enumerate(kinds):
        add_customer(project, customer_name(number), kind)
    add_dirty_rows(project)
    add_repeats(project)
    return project.rows


def customer_name(number: int) -> str:
    """An id; now and then one that tests quoting and letters beyond ASCII."""
    odd = {0: 'Zoë "Z", O\'Neil', 1: "客户 1", 2: "a;b|c", 3: "-7"}
    return odd.get(number, f"C{number:05d}")


def add_customer(project: Project, customer: str, kind: str) -> None:
    """One customer's life."""
    rng = project.rng
    if kind == "profile_only" or (kind != "after_as_of" and rng.random() < 0.5):
        project.profile(customer)
    if kind == "contact_only" or (kind in ("buyer", "heavy") and rng.random() < 0.4):
        for _ in range(rng.choice([1, 1, 2, 4])):
            project.touch(customer, project.day())
    if kind == "refund_only":
        # An order of nobody, of nowhere, or of another customer: no purchase of this one.
        order = rng.choice(["", "NOWHERE", f"O{rng.randrange(1, project.orders + 2):06d}"])
        project.web_row(customer, project.day(last=AS_OF - timedelta(days=2)), order, what="return", total="15.00")
    first, last, most = {
        "buyer": (date(2022, 6, 1), AS_OF + timedelta(days=5), 4),
        "heavy": (date(2023, 1, 1), AS_OF + timedelta(days=30), 9),
        "both_shops": (date(2023, 3, 1), AS_OF, 4),
        "before_period": (date(2019, 6, 1), date(2023, 5, 30), 2),
        "after_as_of": (AS_OF + timedelta(days=2), AS_OF + timedelta(days=30), 2),
    }.get(kind, (AS_OF, AS_OF, 0))
    shops = ("shop", "web") if kind == "both_shops" else (rng.choice(["shop", "web"]),)
    for _ in range(rng.randint(1, most) if most else 0):
        project.order(customer, project.day(first, last), shops)


def add_dirty_rows(project: Project) -> None:
    """Rows of every reason, alone and several at a time."""
    rng, names = project.rng, [f"C{number:05d}" for number in range(4, 300)]
    bad_times = ["soon", "2024-13-01 10:00:00", "2023-02-29 10:00:00", "2024-5-1 10:00:00", "2024-05-01", "24/05/01"]
    odd_times = ["1970-01-01 00:00:00", "2014-12-31 12:00:00", "9999-12-31 00:00:00"]
    unmatched = {"kind": "return", "order_ref": "NONE"}
    shop_faults = [
        {"customer": ""}, {"sold_at": ""}, {"quantity": ""}, {"price": ""}, {"quantity": "two"}, {"price": "12,50"},
        {"quantity": "99999999999"}, {"quantity": "-1", "price": "9.0000"}, {"kind": "swap"}, {"kind": ""},
        {"quantity": "2000000000", "price": "99999999999999.0000"}, {"customer": CUSTOMERS_FORBIDDEN},
        {"quantity": "1", "price": "666.66"}, {"kind": "return", "order_ref": ""}, unmatched,
        {"customer": "", "sold_at": "", "quantity": "x", "price": "y"}, {"customer": "", "kind": "swap"},
        unmatched | {"quantity": ""}, unmatched | {"customer": ""},
        *({"sold_at": text} for text in bad_times + odd_times),
    ]  # fmt: skip
    web_faults = [
        {"member": ""}, {"placed": ""}, {"total": ""}, {"total": "abc"}, {"total": "NaN"}, {"total": "Infinity"},
        {"total": "12,50"}, {"total": "£5"}, {"total": "1e20"}, {"total": "9999999999999999.995"},
        {"total": "1" + "0" * 50}, {"total": "12345678901234567"}, {"total": "-20"}, {"what": "gift"},
        {"total": "666.66"}, {"member": "", "placed": "soon", "total": "-3"},
        {"what": "return", "basket": "NONE", "total": "-7"}, {"what": "return", "basket": "NONE", "total": "x"},
        *({"placed": text} for text in bad_times + odd_times),
    ]  # fmt: skip
    touch_faults = [
        {"person": ""}, {"happened": ""}, {"happened": "2024-05-01"}, {"happened": "31/06/2023 10:00"}, {"kind": "fax"},
        {"happened": "01/01/1970 00:00"}, {"kind": "visit", "seconds": ""}, {"kind": "visit", "seconds": "long"},
        {"kind": "visit", "seconds": "-5"}, {"kind": "visit", "seconds": "86401"}, {"kind": "call", "seconds": "-1"},
        {"kind": "visit", "seconds": "-5", "person": "", "happened": "never"},
    ]  # fmt: skip
    for _ in range(3):
        for fault in shop_faults:
            day = project.day(last=AS_OF)
            row = {"quantity": "1", "price": "10.0000"} | fault
            project.shop_row(rng.choice(names), day, project.order_id(), **row)
        for fault in web_faults:
            note = f"dirty {len(project.rows['web'])}"
            day = project.day(last=AS_OF)
            row = {"total": "10.00", "note": note} | fault
            project.web_row(rng.choice(names), day, project.order_id(), **row)
        for fault in touch_faults:
            row = {"kind": "call", "seconds": ""} | fault
            project.touch(rng.choice(names), project.day(last=AS_OF), **row)
    # The first day that counts, in both zones; and refunds of orders whose purchase was refused.
    project.web_row("C00010", date(2014, 12, 31), project.order_id(), placed="2014-12-31 20:00:00", total="10.00")
    project.shop_row("C00011", date(2015, 1, 1), project.order_id(), sold_at="2015-01-01 00:00:00")
    for number in range(5):
        customer, order, note = f"C{number + 40:05d}", project.order_id(), f"refused {number}"
        project.web_row(customer, date(2023, 9, 1), order, total="-10.00", note=note)
        project.web_row(customer, date(2023, 9, 2), order, what="return", total="10.00", note=note)
    project.profile("", town="York", age="30")
    project.profile("C90000", town="York", age="old")
    project.profile("C90001", town="Leeds", age="70")


def add_repeats(project: Project) -> None:
    """Exact duplicates, genuine repeats and conflicts; the files they end in are decided in `write`."""
    rng, rows = project.rng, project.rows
    for name, note in (("shop", "note"), ("touches", None)):
        clean = [row for row in rows[name] if all(row[key] for key in ("kind",)) and row.get("quantity", "1").isdigit()]
        picked = rng.sample(clean, 60)
        for row in picked[:30]:  # same event_id, same mapped content: a duplicate even where an unmapped column differs
            rows[name].append(row | ({note: rng.choice(["", "sent again"])} if note else {}))
        other = "sold_at" if name == "shop" else "happened"
        for row in picked[30:50]:  # same event_id, another time: a conflict
            stamp = "2023-07-01 12:34:56" if name == "shop" else "01/07/2023 12:34"
            rows[name].append(row | {other: stamp})
        for row in picked[50:55]:  # a conflict of which one row comes twice
            rows[name] += [row, row | {"kind": "swap" if name == "shop" else "fax"}]
    rows["web"] += rng.sample(rows["web"], 80)  # no event_id: repeats within a file are events, across files duplicates


def write(folder: Path, seed: int, customers: int = CUSTOMERS) -> None:
    """The CSV files of the project: the shop's in two files, the web shop's in two that overlap."""
    rows, rng = generate(seed, customers), random.Random(seed + 1)
    for name in rows:
        rng.shuffle(rows[name])
    half_shop, half_web = len(rows["shop"]) // 2, len(rows["web"]) // 2
    files = {
        "shop/first.csv": rows["shop"][:half_shop],
        "shop/second.csv": rows["shop"][half_shop:],
        "web/a.csv": rows["web"][: half_web + 40],
        "web/b.csv": rows["web"][half_web:],
        "touches.csv": rows["touches"],
        "crm.csv": rows["crm"],
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as handle:
            columns = COLUMNS[name.split("/")[0].removesuffix(".csv")]
            writer = csv.DictWriter(handle, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(content)


def write_config(folder: Path, lake: str, name: str = "project.yaml", **choices) -> Path:
    """A project file beside the data; `choices` go to `project_config` (policy, method, reference_period)."""
    path = folder / name
    config = yaml.safe_dump(project_config(lake, **choices), sort_keys=False, allow_unicode=True)
    path.write_text(config, encoding="utf-8")
    return path
