"""Seeded events as Parquet: skewed customers, several sources, ties, refunds; and the same as raw rows, with faults.

Orders of a customer are NBD (a Poisson process whose rate is gamma over the customers) for as long as the customer is
there; amounts are gamma around a level that is gamma over the customers, and end in .99 as prices do. A file is a
month, a row group a block of people in the order of time. Each is made alone, from its own seed, so memory does not
grow with the events.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.job import SOURCES, Data

MONTHS = [date(2023 + m // 12, m % 12 + 1, 1) for m in range(25)]
DAYS = [(month - MONTHS[0]).days for month in MONTHS]
START_SECONDS = int(np.datetime64(MONTHS[0], "s").astype(np.int64))
EVENTS_A_PERSON = 5  # half of the people never buy, so ten events a customer
BLOCK = 1_000_000  # people
RATE_SHAPE, RATE_MEAN = 0.6, 0.00739  # orders a day while there
LIFE_DAYS = 700.0
MORE_LINES = 1.2
REFUNDED = 0.05  # of orders
SECONDS = 86_400
DECIMAL = pa.decimal128(18, 2)

# share of the clean rows that come again with a fault
FAULTS = {"duplicate": 0.005, "no_customer": 0.01, "not_a_number": 0.002, "negative": 0.002, "early": 0.001}
FAULTS |= {"two_faults": 0.001, "conflict": 0.001}


@dataclass(frozen=True)
class Rows:
    """Events of one block and month, as columns."""

    customer: np.ndarray
    order: np.ndarray
    line: np.ndarray
    refund: np.ndarray
    source: np.ndarray
    seconds: np.ndarray  # since 1970
    cents: np.ndarray

    def take(self, index: np.ndarray) -> "Rows":
        """These rows."""
        return Rows(**{name: column[index] for name, column in vars(self).items()})

    def __len__(self) -> int:
        return len(self.customer)


def generate(cache: Path, events: int, seed: int, *, raw: bool, people: int | None = None) -> Data:
    """The data set of about so many events, made where it is not there yet; its size and make are in meta.json.

    With `people`, the events are of so many, each with as many more or fewer; see `people_for`.
    """
    each = 1.0 if people is None else events / people / EVENTS_A_PERSON
    folder = cache / (f"{events}-{seed}" if people is None else f"{events}-of-{people}-{seed}")
    data = Data(folder)
    meta_path = folder / "meta.json"
    meta = json.loads(meta_path.read_text()) if meta_path.exists() else {}
    wanted = [part for part in (["events", "raw"] if raw else ["events"]) if part not in meta.get("parts", [])]
    if not wanted:
        return data
    counts = dict.fromkeys(wanted, 0)
    for month in range(len(MONTHS) - 1):
        for part in wanted:
            for path, tables in _files(data, part, people or events // EVENTS_A_PERSON, month, seed, each).items():
                counts[part] += _write(path, tables)
    meta |= {"asked": events, "seed": seed, "parts": sorted({*meta.get("parts", []), *wanted})}
    meta |= {} if people is None else {"people": people}
    meta |= {f"{part}_rows": rows for part, rows in counts.items()}
    meta |= {f"{part}_bytes": data.bytes(part) for part in wanted}
    meta_path.write_text(json.dumps(meta, indent=1))
    return data


def day_of_raws(people: int, first: date, day: int, seed: int = 0) -> Iterator[pa.Table]:
    """The raw rows of the day so many after a first one, a table a source, with faults: as much as a month brings.

    Its orders are in no other data set, and of no other day.
    """
    mine = month_of_block(0, people, len(MONTHS) - 2, seed + day)
    begins = int(np.datetime64(first, "s").astype(np.int64)) + day * SECONDS
    orders = (np.int64(900) + day) * 10_000_000_000 + mine.order % 10_000_000
    rows = Rows(**vars(mine) | {"seconds": begins + mine.seconds % SECONDS, "order": orders})
    return (_raw(rows, source, np.random.default_rng([seed, day, source])) for source in range(len(SOURCES)))


def people_for(customers: int, events: int) -> int:
    """Of how many people `generate` must make so many events for about so many of them to buy.

    Raises: ValueError where the events do not suffice: an order has more than two, and some buy again and again.
    """
    rng = np.random.default_rng(0)
    rate, born, gone, _ = _lives(rng, 200_000, 1.0)
    orders = rate * np.maximum(np.minimum(gone, DAYS[-1]) - np.maximum(born, 0), 0)

    def buyers(people: int) -> float:
        return people * float(-np.expm1(-orders * (events / people / EVENTS_A_PERSON)).mean())

    low, high = customers, 50 * customers
    if buyers(high) < customers:
        raise ValueError(f"{events:,} events are too few for {customers:,} customers; expected four times as many")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if buyers(middle) < customers else (low, middle)
    return high


def month_of_block(block: int, people: int, month: int, seed: int, each: float = 1.0) -> Rows:
    """The clean events of a block's orders of one month, by time; a refund may be of a later month.

    `each` is how many times as often everybody orders.
    """
    first = block * BLOCK
    size = min(BLOCK, people - first)
    rng = np.random.default_rng([seed, block])
    rate, born, gone, level = _lives(rng, size, each)
    rng = np.random.default_rng([seed, block, month + 1])
    begin, end = np.maximum(born, DAYS[month]), np.minimum(gone, DAYS[month + 1])
    orders = rng.poisson(rate * np.maximum(end - begin, 0))
    who = np.repeat(np.arange(size), orders)
    n = len(who)
    seconds = START_SECONDS + (SECONDS * rng.uniform(begin[who], end[who])).astype(np.int64)
    number = (np.int64(month) * 1000 + block) * 10_000_000 + np.arange(n)
    source = rng.choice(len(SOURCES), n, p=[0.6, 0.25, 0.15])
    lines = 1 + rng.poisson(MORE_LINES, n)
    at = np.repeat(np.arange(n), lines)
    firsts = np.cumsum(lines) - lines
    cents = 100 * rng.gamma(2.0, level[who[at]] / 2).astype(np.int64) + 99
    refunded = np.flatnonzero(rng.random(n) < REFUNDED)
    whole = rng.random(len(refunded)) < 0.5
    sums = np.add.reduceat(cents, firsts) if n else np.zeros(0, np.int64)
    back = np.where(whole, sums[refunded], cents[firsts[refunded]])
    later = seconds[refunded] + rng.integers(1, 31, len(refunded)) * SECONDS
    order = np.concatenate([at, refunded])
    rows = Rows(
        customer=10_000_000 + first + who[order],
        order=number[order],
        line=np.concatenate([np.arange(len(at)) - firsts[at], np.zeros(len(refunded), np.int64)]),
        refund=np.arange(len(order)) >= len(at),
        source=source[order],
        seconds=np.concatenate([seconds[at], later]),
        cents=np.concatenate([cents, back]),
    )
    return rows.take(np.argsort(rows.seconds, kind="stable"))


def _lives(rng: np.random.Generator, size: int, each: float) -> tuple[np.ndarray, ...]:
    """Of each person the orders a day, the days from and to which it is there, and the level of its amounts."""
    rate = rng.gamma(RATE_SHAPE, each * RATE_MEAN / RATE_SHAPE, size)
    born = rng.uniform(-400, 700, size)
    gone = born + rng.exponential(LIFE_DAYS, size)
    return rate, born, gone, rng.gamma(2.0, 15.0, size) + 2


def _files(data: Data, part: str, people: int, month: int, seed: int, each: float) -> dict[Path, Iterator[pa.Table]]:
    name = f"{MONTHS[month]:%Y-%m}.parquet"
    blocks = range(-(-people // BLOCK))
    if part == "events":
        return {Path(data.events) / name: (_clean(month_of_block(b, people, month, seed, each)) for b in blocks)}
    return {
        Path(data.raw(source)) / name: _raws(blocks, people, month, seed, each, i) for i, source in enumerate(SOURCES)
    }


def _raws(blocks: range, people: int, month: int, seed: int, each: float, source: int) -> Iterator[pa.Table]:
    for block in blocks:
        rng = np.random.default_rng([seed, block, month, source, 7])
        yield _raw(month_of_block(block, people, month, seed, each), source, rng)


def _write(path: Path, tables: Iterator[pa.Table]) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer, rows = None, 0
    for table in tables:
        # as Spark writes: money as integers, and times in microseconds
        writer = writer or pq.ParquetWriter(path, table.schema, store_decimal_as_integer=True)
        writer.write_table(table)
        rows += table.num_rows
    if writer is not None:
        writer.close()
    return rows


def _clean(rows: Rows) -> pa.Table:
    """The columns of `events` that the job reads, and what identifies a row."""
    days = (rows.seconds // SECONDS).astype("datetime64[D]")
    return pa.table(
        {
            "source": _names(SOURCES, rows.source),
            "event_id": _event_id(rows),
            "customer_key": _text(rows.customer),
            "event_type": _names(("purchase", "refund"), rows.refund),
            "event_ts": pa.array(rows.seconds * 1_000_000, pa.timestamp("us", "UTC")),
            "event_date": pa.array(days),
            "event_month": pa.array(days.astype("datetime64[M]").astype("datetime64[D]")),
            "order_id": _text(rows.order),
            "amount": _money(rows.cents),
            "duration_seconds": pa.nulls(len(rows), pa.int64()),
        }
    )


def _raw(rows: Rows, source: int, rng: np.random.Generator) -> pa.Table:
    """A source's rows as its system exports them: refunds negative, amounts as text, and some rows at fault."""
    mine = rows.take(np.flatnonzero(rows.source == source))
    table = _raw_table(mine, _event_id(mine))
    parts = [table]
    for fault, share in FAULTS.items():
        drawn = np.sort(rng.choice(len(mine), rng.binomial(len(mine), share), replace=False))
        parts += _faulty(mine.take(drawn), fault)
    whole = pa.concat_tables(parts)
    return whole.take(pa.array(rng.permutation(whole.num_rows)))


def _raw_table(rows: Rows, event_id: pa.Array, **other: pa.Array) -> pa.Table:
    cents = np.where(rows.refund, -rows.cents, rows.cents)
    columns = {
        "line_id": event_id,
        "client": _text(rows.customer),
        "kind": _names(("sale", "return"), rows.refund),
        "sold_at": pa.array(rows.seconds * 1_000_000, pa.timestamp("us", "UTC")),
        "invoice": _text(rows.order),
        "total": _money(cents).cast(pa.string()),
    }
    return pa.table(columns | other)


def _faulty(rows: Rows, fault: str) -> list[pa.Table]:
    """Rows of one fault, beside the clean rows that they are made from."""
    n, nobody = len(rows), pa.nulls(len(rows), pa.string())
    same, own = _event_id(rows), _joined(pa.array([fault[:3]] * n, pa.string()), _event_id(rows))
    words = pa.array(["n/a"] * n, pa.string())
    if fault == "duplicate":
        return [_raw_table(rows, same)]
    if fault == "conflict":
        dearer = Rows(**vars(rows) | {"cents": rows.cents + 1})
        return [_raw_table(rows, own), _raw_table(dearer, own)]
    if fault == "no_customer":
        return [_raw_table(rows, own, client=nobody)]
    if fault == "not_a_number":
        return [_raw_table(rows, own, total=words)]
    if fault == "two_faults":
        return [_raw_table(rows, own, client=nobody, total=words)]
    if fault == "negative":
        sold = Rows(**vars(rows) | {"refund": np.zeros(n, bool), "cents": -rows.cents})
        return [_raw_table(sold, own)]
    return [_raw_table(Rows(**vars(rows) | {"seconds": rows.seconds * 0}), own)]  # 1970-01-01


def _event_id(rows: Rows) -> pa.Array:
    kinds = np.where(rows.refund, 900 + rows.line, rows.line)
    return _joined(_text(rows.order), _text(kinds))


def _joined(left: pa.Array, right: pa.Array) -> pa.Array:
    return pa.compute.binary_join_element_wise(left, right, "-")


def _text(numbers: np.ndarray) -> pa.Array:
    return pa.array(numbers).cast(pa.string())


def _names(names: tuple[str, ...], index: np.ndarray) -> pa.Array:
    return pa.array(names).take(pa.array(index.astype(np.int64)))


def _money(cents: np.ndarray) -> pa.Array:
    """Decimals from their two 64-bit halves."""
    halves = np.stack([cents, np.where(cents < 0, -1, 0)], axis=1).astype(np.int64)
    return pa.Array.from_buffers(DECIMAL, len(cents), [None, pa.py_buffer(halves.tobytes())])
