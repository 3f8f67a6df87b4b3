"""A landing folder: files of two sources, in random order, late and corrected ones, and rows that depend on others; and
what an ingest of them leaves."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import yaml
from e2e import faults

AS_OF = date(2024, 7, 1)
HEAD = "line,customer,ref,at,kind,total"
COUNTED = ("rows_read", "accepted", "quarantined", "exact_duplicates")
_ACTION = {"decision": "Write", "channel": "email", "message": "hello"}


@dataclass(frozen=True)
class Drop:
    """A file that lands, or lands again corrected."""

    name: str
    text: str


@dataclass
class Landing:
    """The files as they first land (`first`), what corrects some of them, and how it all arrives."""

    rng: random.Random
    first: dict[str, str] = field(default_factory=dict)
    corrected: dict[str, str] = field(default_factory=dict)

    def arrivals(self) -> Iterator[list[Drop]]:
        """The drops in random order and splits, a correction after what it corrects; a file of each source at first."""
        order = [*self.first, *self.corrected]
        self.rng.shuffle(order)
        drops = [
            Drop(name, (self.corrected if name in order[:i] else self.first)[name]) for i, name in enumerate(order)
        ]
        sources = [drop.name.split("/")[0] for drop in drops]
        n = 1 + max(sources.index("shop"), sources.index("till"))
        while drops:
            yield list({drop.name: drop for drop in drops[:n]}.values())  # of two in one go the later is what is there
            drops, n = drops[n:], self.rng.choice([1, 2, 3])


def generate(seed: int, *, contradicting: bool = False) -> Landing:
    """Files of the same seed are the same.

    `contradicting`: some rows have the id of another and not its content, so that which of them came first matters.
    """
    rng = random.Random(seed)
    landing = Landing(rng)
    _shop(landing, rng, contradicting=contradicting)
    sold = [f"c{rng.randrange(10):02d},2024-0{rng.randrange(1, 6)}-1{rng.randrange(10)}" for _ in range(30)]
    for n in range(3):  # no id: equal rows of one file are different rows, of two files the same
        rows = [*rng.sample(sold, 14), "c09,2024-02-02", "c09,2024-02-02", "c09,never"]
        landing.first[f"till/{n}.json"] = _json(rows)
        if n == 1:
            landing.corrected[f"till/{n}.json"] = _json([*rows[3:15], "c08,2024-03-03"])
    return landing


def _shop(landing: Landing, rng: random.Random, *, contradicting: bool) -> None:
    """Five files of orders and returns, of which the first is corrected."""
    files: dict[str, list[list[str]]] = {f"shop/{n}.csv": [] for n in range(5)}
    names, returned = list(files), _orders(files, rng)
    doubled = set()
    for name in names:
        for other in rng.sample([n for n in names if n != name], 2):
            again = rng.choice([row for row in files[name] if _is_sold(row)])
            doubled.add(again[0])
            files[other].append(again)
    if contradicting:
        for name in names[:3]:
            row = rng.choice([row for row in files[name] if _is_sold(row) and row[0] not in doubled])
            files[names[4]].append([*row[:5], "0.77"])
    sold = sorted((row for row in files[names[0]] if _is_sold(row)), key=lambda row: row[2] not in returned)
    gone = {row[0] for row in sold[::2]}  # some are in other files as well; first orders of which something came back
    altered = {row[0] for row in sold[1::2]} - doubled
    corrected = [[*row[:5], "9.99"] if row[0] in altered else row for row in files[names[0]] if row[0] not in gone]
    landing.corrected[names[0]] = _csv([*corrected, ["L999", "c05", "o999", "2024-06-10", "sale", "50.00"]])
    landing.first |= {name: _csv(rows) for name, rows in files.items()}


def _orders(files: dict[str, list[list[str]]], rng: random.Random) -> set[str]:
    """Spread orders, returns and bad rows over the files; gives the orders of which something came back."""
    lines = (f"L{n:03d}" for n in range(1000))
    returned = set()
    for n in range(70):
        customer, day = f"c{n % 14:02d}", AS_OF - timedelta(days=rng.randrange(1, 500))
        total = f"{rng.randrange(1, 300)}.{rng.randrange(10, 99)}"
        files[rng.choice(list(files))].append([next(lines), customer, f"o{n}", str(day), "sale", total])
        if rng.random() < 0.3:  # in any file, which may land before the order's
            returned.add(f"o{n}")
            back = [next(lines), customer, f"o{n}", str(day + timedelta(days=3)), "return", "1.05"]
            files[rng.choice(list(files))].append(back)
    for rows in files.values():
        rows.append([next(lines), "c03", "none", "2024-06-20", "return", "2.00"])  # of no order at all
        rows.append([next(lines), "c01", "o1", "someday", "sale", "3.00"])
        rows += [[next(lines), "", "o2", "2024-06-21", "sale", "4.00"]] * 2
    return returned


def _is_sold(row: list[str]) -> bool:
    return row[4] == "sale" and row[1] != "" and row[3] != "someday"


def _csv(rows: list[list[str]]) -> str:
    return "\n".join([HEAD, *(",".join(row) for row in rows)]) + "\n"


def _json(rows: list[str]) -> str:
    cells = [row.split(",") for row in rows]
    return "".join(json.dumps({"customer": who, "at": at, "total": "7.50"}) + "\n" for who, at in cells)


def write_project(folder: Path) -> Path:
    """The project over the files of a folder."""
    columns = {"source_customer_id": "customer", "event_ts": "at", "amount": "total"}
    kinds = {"column": "kind", "values": {"sale": "purchase", "return": "refund"}}
    shop = {"name": "shop", "format": "csv", "path": "shop/*.csv", "event_type": kinds, "event_id": "line"}
    till = {"name": "till", "format": "json", "path": "till", "event_type": "purchase", "columns": columns}
    segments = [
        {"name": "best", "when": "r >= 4 and m >= 4", "action": _ACTION},
        {"name": "rest", "otherwise": True, "action": _ACTION},
    ]
    config = {
        "project": "landing",
        "question": "Who is who?",
        "timezone": "Europe/London",
        "currency": "GBP",
        "lake": {"path": "lake"},
        "sources": [shop | {"columns": columns | {"order_id": "ref"}}, till],
        "contract": {"max_quarantined_share": 1.0},
        "segmentations": [{"name": "value", "question": "Who is who?", "segments": segments}],
    }
    path = folder / "project.yaml"
    for name in ("shop", "till"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def land(folder: Path, drops: list[Drop]) -> None:
    """Write the files into the folder."""
    for drop in drops:
        (folder / drop.name).write_text(drop.text, encoding="utf-8")


def shop(*lines: str) -> str:
    return "\n".join([HEAD, *lines]) + "\n"


ONE = shop("1,anna,o1,2024-01-01,sale,10", "2,ben,o2,2024-01-02,sale,20", "3,carla,o3,2024-01-03,sale,30")
TWO = shop("2,ben,o2,2024-01-02,sale,20", "4,dan,o4,2024-01-04,sale,40", "5,dan,o9,2024-01-05,return,1")
TILL = '{"customer": "eva", "at": "2024-02-01", "total": "5"}\n'


def amounts(spark, folder: Path) -> Counter:
    found = project(folder).read(spark, "events").where("source = 'shop'").collect()
    return Counter((row["event_id"], row["customer_key"], float(row["amount"])) for row in found)


# --- what an ingest leaves ---


def project(folder: Path, lake: str = "lake", **changes: str):
    from rfm_spark import Project

    return Project.load(folder / "project.yaml", [f"{k}={v}" for k, v in changes.items()], str(folder / lake))


def ingest(spark, folder: Path, drops: list[Drop], lake: str = "lake", **changes: str) -> dict[str, int]:
    """Let the files land, ingest, and give what was counted, once it adds up."""
    land(folder, drops)
    counts = project(folder, lake, **changes).ingest(spark, as_of=AS_OF).counts
    for source in ("shop", "till"):
        read, *rest = parts(counts, source)
        assert read == sum(rest)
    return counts


def parts(counts: dict[str, int], source: str) -> list[int]:
    return [counts[f"{source}.{part}"] for part in COUNTED]


def rows(spark, folder: Path, table: str, lake: str = "lake", columns: tuple[str, ...] | None = None) -> list[str]:
    """The published rows of a table, sorted, of the columns or of all that are promised."""
    frame = project(folder, lake).read(spark, table)
    wanted = columns or tuple(sorted(set(frame.columns) - faults.NOT_CONTENT))
    return sorted(map(repr, frame.select(*wanted).collect()))
