"""Published numbers, and the small projects whose runs must meet them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from oracle.project import DEFAULT_MAP, segmentation

TEST_DATA = Path(__file__).parents[1] / "data"
CONF_DATA = Path(__file__).parents[2] / "conf" / "data"

# --- the R package rfm: 4,906 orders of 995 customers --------------------------------------

R_ORDERS_AS_OF = date(2006, 12, 31)
R_ORDERS_CUTS = {
    "approx_quantile": {"r": [114, 180, 296, 481], "f": [3, 4, 5, 7], "m": [254, 381, 505, 665]},
    "interpolated": {"r": [114, 180, 296.4, 481], "f": [3, 4, 5, 7], "m": [254.8, 381, 505.4, 665]},
}
R_ORDERS_CUSTOMERS_PER_SCORE = {
    "r": {1: 197, 2: 201, 3: 198, 4: 199, 5: 200},
    "f": {1: 268, 2: 187, 3: 176, 4: 244, 5: 120},
    "m": {1: 199, 2: 201, 3: 197, 4: 203, 5: 195},
}
# recency_days, frequency, monetary, rfm_score
R_ORDERS_ROWS = {
    "Abbey O'Reilly": (205, 6, Decimal(472), "343"),
    "Add Senger": (140, 3, Decimal(340), "412"),
    "Aden Lesch": (194, 4, Decimal(405), "323"),
    "Aden Murphy": (98, 7, Decimal(596), "544"),
    "Admiral Senger": (132, 5, Decimal(448), "433"),
}
R_ORDERS_SEGMENTS = {
    "hibernating": 240, "loyal": 169, "potential_loyalist": 146, "at_risk": 136, "champions": 99, "about_to_sleep": 76,
    "need_attention": 46, "promising": 31, "new": 30, "cant_lose": 22,
}  # fmt: skip
# Where R's own scores differ: (customer, value, R's score, ours). R's cuts are "quantile + 1" with the lower end
# inclusive, so a value strictly between a fractional quantile and that quantile + 1 is below R's cut and above ours:
# 297 days between 296.4 and 297.4, 506 between 505.4 and 506.4, 255 between 254.8 and 255.8. Frequency has none.
R_ORDERS_DIFFERENCES = {
    "r": [("Katlyn Mann", 297, 3, 2)],
    "f": [],
    "m": [("Jerold Sporer", 506, 3, 4), ("Skylar Hoeger", 255, 1, 2)],
}
R_SCORE_COLUMNS = {"r": "recency_score", "f": "frequency_score", "m": "monetary_score"}

# --- the R package rfm: 39,999 customers, already aggregated -------------------------------

R_CUSTOMER_COLUMNS = {"r": ("recency_days", True), "f": ("transaction_count", False), "m": ("amount", False)}
R_CUSTOMER_CUTS = {"r": [76, 125, 176, 265], "f": [7, 9, 10, 12], "m": [640, 826, 1002, 1225]}

# --- CDNOW, the 1/10 sample ----------------------------------------------------------------

CDNOW_ROWS = 6_919
CDNOW_CUSTOMERS = 2_357
CDNOW_MONEY = Decimal("244091.94")
CDNOW_SPEND_NOTHING = 8
CDNOW: dict[str, dict[str, Any]] = {
    "calibration": {
        "as_of": date(1997, 10, 1),
        "cuts": [1, 1, 2, 3],
        "customers_per_score": {1: 1411, 3: 439, 4: 214, 5: 293},
        "purchase_days": 2_457 + 2_357,  # the repeat days and each customer's first
    },
    "whole span": {
        "as_of": date(1998, 7, 1),
        "cuts": [1, 1, 2, 4],
        "customers_per_score": {1: 1218, 3: 403, 4: 358, 5: 378},
        "purchase_days": 6_696,
    },
}

# --- UCI Online Retail ---------------------------------------------------------------------

ONLINE_RETAIL_AS_OF = date(2011, 12, 10)
ONLINE_RETAIL_COUNTS = {
    "orders.rows_read": 541_909,
    "orders.accepted": 392_692,
    "orders.quarantined": 144_025,
    "orders.exact_duplicates": 5_192,
}
ONLINE_RETAIL_NO_CUSTOMER = 135_080
ONLINE_RETAIL_CUSTOMERS = 4_338
ONLINE_RETAIL_ORDERS = 18_532
ONLINE_RETAIL_MONEY = Decimal("8887208.89")


def r_orders_config(lake: str, method: str) -> dict[str, Any]:
    """Every row is an order, also two of one customer and day."""
    source = {
        "name": "orders", "format": "csv", "path": str(TEST_DATA / "rfm_data_orders.csv"), "options": {"header": True},
        "event_type": "purchase", "timestamp_format": "yyyy-MM-dd",
        "columns": {
            "source_customer_id": "customer_id", "event_ts": "order_date", "amount": "revenue", "order_id": "event_id",
        },
    }  # fmt: skip
    return small_project("r_orders", "UTC", "USD", lake, source, method)


def cdnow_config(lake: str) -> dict[str, Any]:
    """A customer's purchases of one day are one order; equal rows are genuine purchases."""
    source = {
        "name": "orders", "format": "csv", "path": str(CONF_DATA / "cdnow_sample.csv"), "options": {"header": True},
        "event_type": "purchase", "timestamp_format": "yyyyMMdd",
        "columns": {"source_customer_id": "customer_id", "event_ts": "date", "amount": "amount"},
    }  # fmt: skip
    return small_project("cdnow_sample", "America/New_York", "USD", lake, source, "approx_quantile")


def online_retail_config(lake: str) -> dict[str, Any]:
    """Known customers, positive quantity and price, exact duplicates once: the rule of the reference result."""
    columns = [
        "InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country",
    ]  # fmt: skip
    source = {
        "name": "orders", "format": "parquet", "path": str(CONF_DATA / "online_retail.parquet"),
        "event_type": "purchase", "event_id": columns, "types": {"Quantity": "int", "UnitPrice": "decimal(18,4)"},
        "columns": {
            "source_customer_id": {"sql": "cast(CustomerID as bigint)"}, "event_ts": "InvoiceDate",
            "order_id": "InvoiceNo", "amount": {"sql": "Quantity * UnitPrice"},
        },
    }  # fmt: skip
    rules = [
        {"name": "quantity_is_positive", "sql": "Quantity > 0"},
        {"name": "price_is_positive", "sql": "UnitPrice > 0"},
    ]
    config = small_project("online_retail", "Europe/London", "GBP", lake, source, "approx_quantile")
    return config | {"contract": {"max_quarantined_share": 1.0, "rules": rules}, "refunds": {"policy": "ignore"}}


def small_project(name: str, zone: str, currency: str, lake: str, source: dict, method: str) -> dict[str, Any]:
    """One source, everything since the first event, the default map over five bins."""
    return {
        "project": name,
        "question": "Are the published numbers met?",
        "timezone": zone,
        "currency": currency,
        "lake": {"path": lake},
        "sources": [source],
        "contract": {"max_quarantined_share": 0.0},
        "refunds": {"policy": "net_on_order_date"},
        "reference_period": {"all": True, "sub_periods": 4},
        "segmentations": [
            segmentation("value", {"inactive": "frequency = 0"} | DEFAULT_MAP, {"bins": 5, "method": method}),
        ],
    }


def score_differences(theirs: dict[str, dict], ours: dict[str, dict]) -> dict[str, list[tuple]]:
    """Per criterion the customers whose scores differ: (customer, value, their score, our score)."""
    return {
        criterion: [
            (
                customer,
                int(row[R_CUSTOMER_COLUMNS[criterion][0]]),
                int(float(row[column])),
                ours[customer][f"{criterion}_score"],
            )
            for customer, row in sorted(theirs.items())
            if int(float(row[column])) != ours[customer][f"{criterion}_score"]
        ]
        for criterion, column in R_SCORE_COLUMNS.items()
    }
