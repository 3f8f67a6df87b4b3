"""The predictions that rules, criteria and campaigns use: the newest published ones at or before a date."""

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark.config.attributes import used_predictions
from rfm_spark.pipelines.published import Published
from rfm_spark.pipelines.run_record import Run


def with_predictions(run: Run, earlier: Published, customers: DataFrame) -> DataFrame:
    """The same customers with the predictions that the project uses.

    Rules: of the newest published date at or before as_of. All are of the model that back-tests best, but p_alive is
        of the best one that can doubt who bought once, where there is one. Null for whom nothing was predicted; where
        nothing is published, for everybody, and the run warns.
    Reads nothing, and changes nothing, where the project uses none. One join by customer.
    """
    used = used_predictions(run.config)
    if not used:
        return customers
    day = max((day for day in earlier.predicted if day <= run.as_of), default=None)
    predictions = earlier.read("predictions", day) if day is not None else None
    models = earlier.read("models", day) if day is not None else None
    if predictions is None or models is None:
        run.warnings.append(
            f"no predictions are published at or before {run.as_of}, so {', '.join(used)} is null for everybody: run "
            "`rfm-spark predict` first"
        )
        return customers.withColumns({name: F.lit(None).cast("double") for name in used})
    run.inputs["predictions"] = f"of {day}"
    roles = models.filter("chosen or churn").select("model", "chosen", "churn").collect()
    best = next(row["model"] for row in roles if row["chosen"])
    of_life = next((row["model"] for row in roles if row["churn"]), best)
    source = {name: of_life if name == "p_alive" else best for name in used}
    wide = (
        predictions.filter(F.col("model").isin(sorted(set(source.values()))))
        .groupBy("customer_key")
        .agg(*(F.max(F.when(F.col("model") == model, F.col(name))).alias(name) for name, model in source.items()))
    )
    return customers.join(wide, "customer_key", "left")


def with_predicted_value(earlier: Published, people: DataFrame, as_of: date) -> DataFrame:
    """The same people with `predicted_value` within `predicted_days`, null for whom there is none.

    Rules: of the newest predictions of money at or before as_of. Of several models the one that has money is used, of
        several of those the chosen one. One join by customer.
    """
    null = {"predicted_value": F.lit(None).cast("double"), "predicted_days": F.lit(None).cast("int")}
    table = earlier.read("predictions")
    if table is None:
        return people.withColumns(null)
    usable = table.filter((F.col("snapshot_date") <= F.lit(as_of)) & F.col("expected_value").isNotNull())
    newest = usable.groupBy("snapshot_date", "model").agg(F.count(F.lit(1)).alias("n")).collect()
    if not newest:
        return people.withColumns(null)
    day = max(row["snapshot_date"] for row in newest)
    models = sorted(row["model"] for row in newest if row["snapshot_date"] == day)
    model = _chosen(earlier, day, models)
    own = usable.filter((F.col("snapshot_date") == F.lit(day)) & (F.col("model") == F.lit(model))).select(
        "customer_key",
        F.col("expected_value").cast("double").alias("predicted_value"),
        F.col("horizon_days").cast("int").alias("predicted_days"),
    )
    return people.join(own, "customer_key", "left")


def _chosen(earlier: Published, day: date, names: list[str]) -> str:
    models = earlier.read("models") if len(names) > 1 else None
    if models is None:
        return names[0]
    rows = models.filter((F.col("snapshot_date") == F.lit(day)) & F.col("chosen")).select("model").collect()
    return next((row["model"] for row in rows if row["model"] in names), names[0])
