"""Predict: activity → statistics → fits → back-test → gate → scores, for one as_of."""

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
from pyspark.sql import functions as F

from rfm_spark import schemas
from rfm_spark.config.prediction import BASELINE, VALUE_MODEL
from rfm_spark.errors import ConfigError, Fault, GateError
from rfm_spark.local import local_frame
from rfm_spark.pipelines import segment_forecasts
from rfm_spark.pipelines.ingested import Ingested
from rfm_spark.pipelines.published import published
from rfm_spark.pipelines.run_record import Run
from rfm_spark.steps.prediction import choice, compressed, gamma_gamma, scores, statistics
from rfm_spark.steps.prediction.back_test import HeldOut
from rfm_spark.steps.prediction.choice import Outcome
from rfm_spark.steps.prediction.optimise import Fitted

Tell = Callable[[Outcome], None]


def predict(run: Run, data: Ingested, *, force: bool, tell: Tell) -> Outcome:
    """Fit, back-test and publish what every customer who has ordered is expected to do.

    `tell` is given the models and their back-test before the gate, so that people see why it stops.
    Events are shuffled once, by customer; the driver sees distinct statistics only.
    Raises: ConfigError where no days are left to hold out; GateError where nothing is identified, or the chosen model
        is outside of the tolerance and `force` is not given.
    """
    asked, snapshot = run.config.prediction, {"snapshot_date": run.as_of}
    last_day, policy = run.as_of - timedelta(days=1), run.config.refunds.policy
    with run.stage("statistics") as stage:
        end = _calibration_end(run, data, last_day)
        activity = data.activity(policy, run.as_of)
        customers = run.keep(statistics.statistics(activity, policy, end, last_day))
        kinds = compressed.columns(statistics.compressed(customers))
        held = HeldOut(compressed.columns(statistics.held_out(customers)), (last_day - end).days)
        stage.rows = int(kinds["customers"].sum())
        _require_customers(run, stage.rows, held, end)
    with run.stage("models") as stage:
        all_days = compressed.in_units(kinds, asked.days_a_unit)
        calibration = compressed.in_units(held.columns, asked.days_a_unit)
        spent = [
            compressed.spends(customers, *names) for names in (("calibration_x", "calibration_spend"), ("x", "spend"))
        ]
        fits = choice.fit_all(asked, (calibration, spent[0]), (all_days, spent[1]))
        stage.rows = len(fits)
    with run.stage("back-test"):
        tested = choice.back_tested(fits, held, asked.days_a_unit, asked.tolerance)
        if tested is None:
            raise GateError(
                f"not even the NBD is identified by {int(held.customers):,} customers: {fits[BASELINE].problem}; "
                "too few came again, or all at one rate: there is too little to predict from"
            )
        outcome = Outcome(
            as_of=run.as_of,
            calibration_end=end,
            last_day=last_day,
            horizon_days=asked.horizon_days or held.days,
            unit=asked.unit,
            customers=round(kinds["customers"].sum()),
            distinct=len(kinds["x"]),
            calibrated_distinct=len(calibration.x),
            fits=fits,
            back_test=tested,
            correlation=gamma_gamma.correlation(spent[1]) if VALUE_MODEL in fits else None,
        )
        tell(outcome)
        _gate(run, outcome, force=force)
    with run.stage("predictions") as stage:
        usable = {name: fit.refit for name, fit in fits.items() if name != VALUE_MODEL and fit.problem is None}
        value = fits[VALUE_MODEL].refit if VALUE_MODEL in fits and fits[VALUE_MODEL].problem is None else None
        said = run.hold(scores.scored(usable, kinds, asked, outcome.horizon_days))
        frame = scores.predictions(customers, said, value, run.as_of, outcome.horizon_days)
        written = run.lake.replace(schemas.PREDICTIONS, frame, snapshot)
        stage.rows = run.counts["predictions.rows"] = written.rows
    with run.stage("segments"):
        mine = (F.col("snapshot_date") == F.lit(run.as_of)) & (F.col("model") == tested.chosen)
        outcome.segments = segment_forecasts.write(run, published(run.lake), written.frame.filter(mine))
        rows = [_row(run, outcome, name, fit) for name, fit in fits.items()]
        run.lake.replace(schemas.MODELS, local_frame(run.spark, rows, schemas.MODELS.types()), snapshot)
        run.counts |= {"predictions.customers": outcome.customers, "predictions.distinct": outcome.distinct}
    return outcome


def _calibration_end(run: Run, data: Ingested, last_day: date) -> date:
    """The configured day, or the one after which a quarter of the days since the first purchase are left."""
    asked = run.config.prediction
    if asked.calibration_end is not None:
        if asked.calibration_end < last_day:
            return asked.calibration_end
        told = f"found {asked.calibration_end}, expected a day before {last_day}, the last that --as-of lets be seen"
        raise ConfigError([Fault("prediction.calibration_end", told, run.config.line("prediction.calibration_end"))])
    bought = (F.col("event_type") == "purchase") & (F.col("event_date") <= F.lit(last_day))
    first = data.events.filter(bought).agg(F.min("event_date")).collect()[0][0]
    if first is None:
        raise GateError(f"found no purchase before {run.as_of}: there is nobody to predict")
    days = (last_day - first).days + 1
    if days < 4:
        raise GateError(f"found {days} days since the first purchase, expected some weeks of them to hold days out")
    return last_day - timedelta(days=days // 4)


def _require_customers(run: Run, customers: int, held: HeldOut, end: date) -> None:
    if not customers:
        raise GateError(f"found no counted order before {run.as_of}: there is nobody to predict")
    if not len(held["x"]):
        raise GateError(f"found no order until {end}, the last day of calibration: there is nothing to fit")


def _gate(run: Run, outcome: Outcome, *, force: bool) -> None:
    """Stop where the chosen model was too far off, or warn where that is to be overridden."""
    asked, tested = run.config.prediction, outcome.back_test
    said = tested.forecasts[tested.chosen]
    off = f"{said.error:+.1%}" if np.isfinite(said.error) else "none came"
    told = (
        f"{tested.chosen} forecast {said.total:,.0f} orders of the {tested.held.days} days held out, "
        f"{tested.held.orders:,.0f} came ({off}; prediction.tolerance: {asked.tolerance:.0%})"
    )
    if abs(said.error) > asked.tolerance:
        if not force:
            raise GateError(f"{told}. Nothing was published: look at the back-test; --force publishes all the same")
        run.warnings.append(f"published by --force: {told}")
    better = [naive.name for naive in tested.naive if naive.rmse < said.rmse]
    if better:
        run.warnings.append(f"{' and '.join(better)}, a rule without a model, was less far off than {tested.chosen}")
    if VALUE_MODEL in asked.models and (VALUE_MODEL not in outcome.fits or outcome.fits[VALUE_MODEL].problem):
        run.warnings.append(
            "expected_value is null for everybody: gamma_gamma is not identified by what those who came again spent"
        )
    if outcome.correlation is not None and abs(outcome.correlation) > gamma_gamma.INDEPENDENT:
        run.warnings.append(
            f"orders and their value go together (correlation {outcome.correlation:.2f}), which gamma_gamma leaves out"
        )


def _row(run: Run, outcome: Outcome, name: str, fit: choice.Fits) -> tuple:
    tested, done = outcome.back_test, dict.fromkeys(schemas.MODELS.column_names())
    calibration, refit = fit.calibration, fit.refit
    done |= {
        "model": name,
        "snapshot_date": run.as_of,
        "parameters": dict(calibration.parameters),
        "standard_errors": _finite(calibration),
        "log_likelihood": calibration.log_likelihood,
        "refit_parameters": dict(refit.parameters),
        "refit_standard_errors": _finite(refit),
        "refit_log_likelihood": refit.log_likelihood,
        "fit_end": outcome.calibration_end,
        "refit_end": outcome.last_day,
        "unit": outcome.unit,
        "customers": round(calibration.customers),
        "identified": calibration.identified,
        "problem": fit.problem,
        "chosen": name == tested.chosen,
        "churn": name == tested.churn,
        "holdout_days": tested.held.days,
        "holdout_customers": round(tested.held.customers),
    }
    if name == VALUE_MODEL:
        if tested.value is not None:
            actual, forecast = tested.value
            done |= {"backtest_actual": actual, "backtest_forecast": forecast}
            done["backtest_error"] = (forecast - actual) / actual if actual else None
        return tuple(done.values())
    said = tested.forecasts[name]
    last, mean = tested.naive
    done |= {
        "distinct_statistics": outcome.calibrated_distinct,
        "backtest_actual": tested.held.orders,
        "backtest_forecast": said.total,
        "backtest_error": said.error if np.isfinite(said.error) else None,
        "backtest_mae": said.mae,
        "backtest_rmse": said.rmse,
        "backtest_last_period": last.total,
        "backtest_segment_mean": mean.total,
    }
    return tuple(done.values())


def _finite(fitted: Fitted) -> dict[str, float]:
    errors = zip(fitted.names, fitted.standard_errors, strict=True)
    return {name: error for name, error in errors if np.isfinite(error)}
