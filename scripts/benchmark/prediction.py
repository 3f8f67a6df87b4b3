"""Prediction: from orders to a fitted model and every customer scored, here and with `lifetimes`.

Customers are simulated by the Pareto/NBD, a row a purchase day. Each side reads them, builds x, t_x and T, fits one
model to them, scores every customer over 39 weeks and writes a file, in a process of its own. What is compared is what
was fitted: the log-likelihood, computed alike for the parameters of both.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from benchmark import report
from benchmark.measure import measured

MODELS = ("bg_nbd", "pareto_nbd")
SIDES = ("rfm_spark, Sail", "lifetimes")
START, LAST = date(2023, 1, 2), date(2024, 6, 30)
HORIZON_WEEKS = 39.0
TRUE = (0.6, 8.0, 0.8, 10.0)  # r, alpha, s, beta in weeks
_CHUNK = 500_000


def run(asked: argparse.Namespace, folder: Path, say: Callable[[str], None]) -> None:
    """Every size, model and side that is asked for; each size is stored as one file."""
    for customers in asked.predict:
        data = _generated(asked.cache / f"predict-{customers}-{asked.seed}", customers, asked.seed)
        found: dict[str, Any] = {"job": "predict", "customers": customers, "seed": asked.seed}
        found |= report.surroundings(["scripts/bench", *sys.argv[1:]]) | {"load_before": os.getloadavg(), "runs": {}}
        for model in MODELS:
            for side in SIDES:
                if asked.sides and f"{model}, {side}" not in asked.sides:
                    continue
                out = data.parent / f"{data.name}-{model}-{side.split(',')[0]}"
                shutil.rmtree(out, ignore_errors=True)
                arguments = ["predict", side, model, str(data), str(out)]
                one = measured(arguments, out.with_suffix(".log"), asked.timeout, asked.memory)
                told = json.loads((out / "fit.json").read_text()) if one.status == "done" else {}
                found["runs"][f"{model}, {side}"] = one.as_dict() | told
                say(f"predict {customers:,}, {model}, {side}: {one.as_dict() | told}")
                shutil.rmtree(out, ignore_errors=True)
        found["load_after"] = os.getloadavg()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"predict-{customers}.json").write_text(json.dumps(found, indent=1) + "\n")


def work(side: str, model: str, data: str, out: str) -> None:
    """One side's work, in its own process."""
    Path(out).mkdir(parents=True)
    told = (_ours if side == SIDES[0] else _lifetimes)(model, data, Path(out))
    (Path(out) / "fit.json").write_text(json.dumps(told))


def _ours(model: str, data: str, out: Path) -> dict[str, Any]:
    from rfm_spark import session
    from rfm_spark.config.prediction import Prediction
    from rfm_spark.pipelines.kept_frames import Kept
    from rfm_spark.steps.prediction import compressed, orders, scores, statistics

    kept, asked = Kept(), Prediction()
    spark = session.build(engine="sail")
    activity = spark.read.parquet(data)
    built = statistics.statistics(activity, "ignore", LAST - timedelta(days=1), LAST)
    customers = kept.keep(built.select("customer_key", *statistics.KEY, "spend"))
    kinds = compressed.columns(statistics.compressed(customers))
    distinct, began = compressed.in_units(kinds, asked.days_a_unit), time.monotonic()
    fitted = orders.fit(orders.MODELS[model], distinct, orders.fit(orders.MODELS["nbd"], distinct))
    fit_seconds = time.monotonic() - began
    said = kept.hold(spark, scores.scored({model: fitted}, kinds, asked, int(7 * HORIZON_WEEKS)))
    scores.predictions(customers, said, None, LAST, int(7 * HORIZON_WEEKS)).write.parquet(str(out / "predictions"))
    kept.release()
    return {
        "distinct": len(distinct.x), "fit_seconds": round(fit_seconds, 2), "parameters": fitted.parameters,
        "log_likelihood": round(fitted.log_likelihood, 2), "identified": fitted.identified,
    }  # fmt: skip


def _lifetimes(model: str, data: str, out: Path) -> dict[str, Any]:
    import warnings

    import lifetimes
    import pandas as pd
    from lifetimes.utils import summary_data_from_transaction_data

    from rfm_spark.steps.prediction import orders

    warnings.simplefilter("ignore")
    rows = pd.read_parquet(data, columns=["customer_key", "activity_date"])
    summary = summary_data_from_transaction_data(
        rows, "customer_key", "activity_date", observation_period_end=pd.Timestamp(LAST), freq="D"
    )
    x, t_x, T = summary["frequency"], summary["recency"] / 7, summary["T"] / 7
    fitter = {"bg_nbd": lifetimes.BetaGeoFitter, "pareto_nbd": lifetimes.ParetoNBDFitter}[model]()
    began = time.monotonic()
    fitter.fit(x, t_x, T)
    fit_seconds = time.monotonic() - began
    said = {
        "p_alive": np.asarray(fitter.conditional_probability_alive(x, t_x, T)),
        "expected": np.asarray(fitter.conditional_expected_number_of_purchases_up_to_time(HORIZON_WEEKS, x, t_x, T)),
    }
    pd.DataFrame(said, index=summary.index).to_parquet(out / "predictions.parquet")
    found = {name: float(value) for name, value in fitter.params_.items()}
    mine = orders.MODELS[model]
    columns = (np.asarray(column, dtype=float) for column in (x, t_x, T))
    likelihood = mine.log_likelihood([found[name] for name in mine.parameters], *columns).sum()
    return {"fit_seconds": round(fit_seconds, 2), "parameters": found, "log_likelihood": round(float(likelihood), 2)}


def _generated(folder: Path, customers: int, seed: int) -> Path:
    """A folder of Parquet files, as `activity` leaves them; made where it is not there yet."""
    if folder.exists():
        return folder
    making, random = folder.with_name(folder.name + ".making"), np.random.default_rng(seed)
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    for first in range(0, customers, _CHUNK):
        rows = _orders(first, min(_CHUNK, customers - first), random)
        parquet.write_table(rows, making / f"{first:012}.parquet")
    making.rename(folder)
    return folder


def _orders(first: int, customers: int, random: np.random.Generator) -> pa.Table:
    """One row a purchase day of new customers; who comes in the first half of the span is seen to its end."""
    r, alpha, s, beta = (np.array(one) for one in TRUE)
    days = (LAST - START).days
    came = random.integers(0, days // 2, customers).astype(float)
    rate = random.gamma(r, 1 / (7 * alpha), customers)
    ends = np.minimum(came + random.exponential(1, customers) / random.gamma(s, 1 / (7 * beta), customers), days)
    who, when, there, now = [np.arange(customers)], [came.astype(int)], np.arange(customers), came.copy()
    while len(there):
        now = now + random.exponential(1, len(there)) / rate[there]
        on = now <= ends[there]
        there, now = there[on], now[on]
        who.append(there)
        when.append(np.ceil(now).astype(int))
    keys, offsets = np.concatenate(who), np.concatenate(when)
    pairs = np.unique(keys.astype(np.int64) * 10_000 + np.minimum(offsets, days))
    keys, offsets = pairs // 10_000, pairs % 10_000
    day0 = (START - date(1970, 1, 1)).days
    return pa.table({
        "customer_key": pa.array([f"c{first + key}" for key in keys]),
        "activity_date": pa.array((offsets + day0).astype(np.int32), pa.int32()).cast(pa.date32()),
        "orders": pa.array(np.ones(len(keys), dtype=np.int32)),
        "amount": pa.array(random.integers(5, 100, len(keys)), pa.int64()).cast(pa.decimal128(21, 0)).cast(
            pa.decimal128(18, 2)
        ),
    })  # fmt: skip
