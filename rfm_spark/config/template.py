"""The commented project that `rfm-spark init DIR` writes: it passes `check` and runs as it is."""

import json
from pathlib import Path

from rfm_spark.config.json_schema import json_schema
from rfm_spark.errors import ConfigError, EnvironmentFault, Fault

PROJECT = """\
# yaml-language-server: $schema=project.schema.json
#
#   rfm-spark check project.yaml                        all faults of this file, in a second
#   rfm-spark check project.yaml --defaults             every setting with its default
#   rfm-spark run project.yaml --as-of 2025-01-01       events, metrics, scores, segments
#   rfm-spark show project.yaml --as-of 2025-01-01      the segments
#
# Replace orders.csv by your own orders, then the columns below by their names in your file.

project: my_shop
question: Which customers should get a win-back offer, and which a thank-you?
timezone: Europe/London       # business dates are days in this zone
currency: GBP
lake: {path: lake}            # the tables are written here; or {catalog: main, schema: marketing}

sources:
  - name: orders
    format: csv               # csv json parquet delta table
    path: orders.csv          # a file, a folder or a pattern such as orders/*.csv; relative to this file
    options: {header: true}   # of Spark's reader, for instance sep: ";"
    # what a row is: purchase, refund, contact or engagement for all rows, or by a column
    event_type: {column: kind, values: {sale: purchase, return: refund}}
    columns:                  # ours: yours; or SQL over your columns
      source_customer_id: customer
      event_ts: ordered_at
      order_id: order
      amount: {sql: "quantity * price"}
    types: {quantity: int, price: "decimal(18,4)"}   # of columns that SQL calculates with
    timestamp_format: yyyy-MM-dd HH:mm
    event_id: [order, line]   # what identifies a row; leave it out if equal rows are different rows

  # Attributes of customers, to score or segment by as well:
  # - name: crm
  #   kind: profile
  #   format: csv
  #   path: customers.csv
  #   columns: {source_customer_id: id}
  #   attributes: {country: country, age: age}
  #   types: {age: int}

contract:
  max_quarantined_share: 0.05     # more bad rows than that, and nothing is published
  earliest: 2000-01-01            # an earlier date is not believed
  rules:                          # your own; a row that does not meet one is kept in quarantine, with the rule's name
    - {name: price_is_positive, sql: "price > 0"}

refunds: {policy: net_on_order_date}             # or net_on_refund_date, or ignore
reference_period: {months: 12, sub_periods: 4}   # what frequency and monetary value are measured over

# r, f and m are the standard set; add your own over the columns of customer_metrics and attributes:
# criteria:
#   r: {metric: recency_days, better: low}
#   f: {metric: frequency, better: high}
#   m: {metric: monetary, better: high}
#   trend: {sql: "monetary_q4 - monetary_q1", better: high}

segmentations:
  - name: value
    question: Who is worth what, and who is leaving?
    scoring: {bins: 5}            # scores 1 to 5, 5 is best: the newest r, the most orders f, the most money m
    segments:                     # in order, the first that holds wins; `check` finds gaps and rules that never fire
      - name: prospect
        when: recency_days is null
        action: {decision: Invite, channel: email, message: first-order-offer}
      - name: inactive
        when: frequency = 0       # bought before the reference period only
        action: {decision: Ask why, channel: email, message: we-miss-you}
      - name: champions
        when: r = 5 and f >= 4
        action: {decision: Thank, channel: email, message: vip-thanks, priority: 1}
      - name: loyal
        when: r in (3, 4) and f >= 4
        action: {decision: Sell more, channel: email, message: new-arrivals}
      - name: potential_loyalist
        when: r >= 4 and f in (2, 3)
        action: {decision: Bind, channel: email, message: join-the-club}
      - name: promising
        when: r = 4 and f = 1
        action: {decision: Second order, channel: email, message: second-order-voucher}
      - name: new
        when: r = 5 and f = 1
        action: {decision: Welcome, channel: email, message: welcome}
      - name: need_attention
        when: r = 3 and f = 3
        action: {decision: Remind, channel: email, message: picked-for-you}
      - name: about_to_sleep
        when: r = 3 and f <= 2
        action: {decision: Remind, channel: email, message: still-looking}
      - name: at_risk
        when: r <= 2 and f in (3, 4)
        action: {decision: Win back, channel: email, message: come-back-offer, budget_per_customer: 2.50}
      - name: cant_lose
        when: r <= 2 and f = 5
        action: {decision: Call, channel: phone, message: personal-call, budget_per_customer: 10, priority: 1}
      - name: hibernating
        when: r <= 2 and f <= 2
        action: {decision: Low-cost reminder, channel: email, message: seasonal-news}
"""

ORDERS = """\
order,line,kind,customer,ordered_at,quantity,price
1001,1,sale,anna,2023-11-20 10:12,1,49.00
1002,1,sale,ben,2024-01-09 18:40,2,19.90
1003,1,sale,carla,2024-01-15 09:05,1,120.00
1003,2,sale,carla,2024-01-15 09:05,3,8.50
1004,1,sale,dan,2024-02-02 13:30,1,35.00
1005,1,sale,eva,2024-02-14 20:01,4,12.00
1006,1,sale,ben,2024-03-03 11:11,1,59.00
1007,1,sale,fred,2024-03-21 16:45,1,22.50
1008,1,sale,carla,2024-04-04 08:20,2,64.00
1009,1,sale,gita,2024-04-18 12:00,1,15.00
1010,1,sale,eva,2024-05-06 19:30,1,48.00
1011,1,sale,hugo,2024-05-25 10:10,5,9.90
1012,1,sale,ben,2024-06-11 17:17,1,75.00
1012,2,sale,ben,2024-06-11 17:17,1,5.00
1013,1,sale,ines,2024-06-30 21:55,2,30.00
1014,1,sale,carla,2024-07-12 09:40,1,210.00
1015,1,sale,jan,2024-07-29 14:14,1,18.00
1016,1,sale,eva,2024-08-08 18:08,2,27.50
1013,1r,return,ines,2024-08-15 10:00,1,30.00
1017,1,sale,hugo,2024-08-31 22:30,1,39.00
1018,1,sale,kim,2024-09-13 07:50,3,14.00
1019,1,sale,carla,2024-09-27 15:25,1,99.00
1020,1,sale,ines,2024-10-10 11:35,1,45.00
1021,1,sale,lena,2024-10-22 20:20,2,17.00
1022,1,sale,eva,2024-11-05 12:12,1,88.00
1023,1,sale,kim,2024-11-19 16:00,1,26.00
1024,1,sale,carla,2024-11-29 08:08,4,25.00
1024,1r,return,carla,2024-12-03 09:00,1,25.00
1025,1,sale,mo,2024-12-08 13:00,1,55.00
1026,1,sale,hugo,2024-12-15 18:45,1,42.00
1027,1,sale,lena,2024-12-21 10:30,2,31.00
"""


def write(directory: str | Path) -> list[Path]:
    """Write the project, its orders and the schema for editors into a folder; returns the files.

    Raises: ConfigError where one of them is there already, EnvironmentFault where the folder cannot be written.
    """
    schema = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    texts = {"project.yaml": PROJECT, "orders.csv": ORDERS, "project.schema.json": schema}
    files = {Path(directory) / name: text for name, text in texts.items()}
    existing = [path for path in files if path.exists()]
    if existing:
        message = "found a file of that name, and init overwrites none; expected a new or empty folder"
        raise ConfigError([Fault(str(path), message) for path in existing], source="init")
    if Path(directory).exists() and not Path(directory).is_dir():
        raise ConfigError([Fault(str(directory), "found a file, expected a folder")], source="init")
    try:
        Path(directory).mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise EnvironmentFault(f"{directory} cannot be written: {error.strerror}") from None
    return list(files)
