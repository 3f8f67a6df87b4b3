"""DuckDB: the same job as SQL; Parquet tables."""

from pathlib import Path

import duckdb

from benchmark import job
from benchmark.job import Data


def classic(data: Data, out: Path) -> None:
    """Clean events to a table of segments."""
    _segment(_connection(out), f"read_parquet('{data.events}/*.parquet')", out)


def whole(data: Data, out: Path) -> None:
    """Raw rows to tables of events, quarantine and segments."""
    out.mkdir(parents=True)
    db = _connection(out)
    db.execute(f"create temp table judged as {_judged(data)}")
    clean = "select * exclude (reasons, nth, client, kind, total) from judged where len(reasons) = 0 and nth = 1"
    db.execute(f"copy ({clean}) to '{out}/events' (format parquet, partition_by (event_month))")
    names = "{line_id: event_id, client: client, kind: kind, sold_at: event_ts, invoice: order_id, total: total}"
    rows = f"select source, reasons, to_json({names})::varchar as record from judged where len(reasons) > 0"
    held = f"select *, md5(record) as quarantine_id from ({rows})"
    db.execute(f"copy ({held}) to '{out}/quarantine.parquet' (format parquet)")
    db.execute("drop table judged")
    _segment(db, f"read_parquet('{out}/events/*/*.parquet', hive_partitioning = true)", out / "segments")


def scan(data: Data, out: Path) -> None:
    """The floor: the columns that the classic job reads, and no more than their sum."""
    sums = "sum(amount), max(event_date), max(event_type), max(customer_key), max(order_id)"
    duckdb.execute(f"select {sums} from read_parquet('{data.events}/*.parquet')").fetchall()


def start(data: Data, out: Path) -> None:
    """A database, and one trivial query."""
    duckdb.execute("select sum(range) from range(10)").fetchall()


def _connection(out: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"temp_directory": f"{out}.tmp", "preserve_insertion_order": "false"})


def _segment(db: duckdb.DuckDBPyConnection, events: str, out: Path) -> None:
    """One row an order or a customer's day of refunds, then a customer: no count of distinct values."""
    first, as_of = job.BOUNDARIES[0], job.AS_OF
    spans = {"": (first, as_of)} | {f"_q{i}": span for i, span in enumerate(job.QUARTERS, 1)}
    inside = {name: f"day >= date '{a}' and day < date '{b}'" for name, (a, b) in spans.items()}
    sums = ", ".join(
        f"coalesce(sum(orders) filter ({where}), 0)::bigint as orders{name}, "
        f"coalesce(sum(amount) filter ({where}), 0) as monetary{name}"
        for name, where in inside.items()
    )
    money = ", ".join(
        f"(case when orders > 0 then {name} else 0 end)::decimal(18,2) as {name}"
        for name in ["monetary", *(f"monetary_q{i}" for i in range(1, 5))]
    )
    db.execute(f"""
        create temp table customers as
        with orders as (
            select customer_key, order_id, event_type, event_date as day, (event_type = 'purchase')::int as orders,
                   sum(case when event_type = 'purchase' then amount else -amount end) as amount
            from {events} where event_date < date '{as_of}' group by all
        ), sums as (
            select customer_key, date '{as_of}' - max(day) filter (orders > 0) as recency_days, {sums}
            from orders group by customer_key
        )
        select customer_key, recency_days, orders as frequency, orders_q1, orders_q2, orders_q3, orders_q4, {money}
        from sums""")
    cuts = ", ".join(f"quantile_disc({m}, [0.2, 0.4, 0.6, 0.8])" for m, _ in job.CRITERIA.values())
    found = db.execute(f"select {cuts} from customers where frequency > 0").fetchone() or ()
    scores = []
    for (name, (metric, better)), values in zip(job.CRITERIA.items(), found, strict=True):
        below = " + ".join(f"({metric} > {value})::int" for value in values or [0])
        scores.append(f"{f'{job.BINS} - ({below})' if better == 'low' else f'1 + {below}'} as {name}_score")
    scored = f"select *, {', '.join(scores)} from customers"
    placed = f"select *, {job.segment_sql()} as segment from ({scored})"
    columns = ", ".join(job.COLUMNS)
    db.execute(f"copy (select {columns} from ({placed})) to '{out}' (format parquet, partition_by (segment))")


def _judged(data: Data) -> str:
    rows = " union all by name ".join(
        f"select '{name}' as source, * from read_parquet('{data.raw(name)}/*.parquet')" for name in job.SOURCES
    )
    content = "customer_key, event_type, event_ts, order_id, amount"
    return f"""
        with raw as ({rows}), parsed as (
            select source, line_id as event_id, nullif(trim(client), '') as customer_key,
                   case kind when 'sale' then 'purchase' when 'return' then 'refund' end as event_type,
                   sold_at as event_ts, (sold_at at time zone 'UTC')::date as event_date, invoice as order_id,
                   try_cast(total as decimal(18,2)) as signed,
                   case when kind = 'return' then abs(signed) else signed end as amount, client, kind, total
            from raw
        ), compared as (
            select *, hash({content}) as content, min(content) over event != max(content) over event as differ,
                   row_number() over event as nth
            from parsed window event as (partition by source, event_id)
        )
        select source, event_id, customer_key, event_type, event_ts, event_date,
               date_trunc('month', event_date)::date as event_month, order_id, amount, client, kind, total, nth,
               list_filter([case when differ then 'duplicate_conflict' end,
                            case when event_type = 'purchase' and amount < 0 then 'negative_amount' end,
                            case when customer_key is null then 'no_customer' end,
                            case when amount is null then 'not_a_number:amount' end,
                            case when event_date not between date '{job.EARLIEST}' and date '{job.LATEST}'
                                 then 'time_out_of_range' end], lambda x: x is not null) as reasons
        from compared"""
