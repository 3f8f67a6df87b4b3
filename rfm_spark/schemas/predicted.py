"""What is predicted of customers and segments, and by which models."""

from rfm_spark.schemas.spec import Column, TableSpec, required

SEGMENT_FORECASTS = TableSpec(
    "segment_forecasts",
    "one row a segment of the newest snapshot at or before a prediction: what it is expected to do, and to become",
    (
        required("snapshot_date", "date", "as_of of the prediction"),
        required("segmentation", "string", "name of the segmentation"),
        required("segment", "string", "name of the segment; (none) where no rule held"),
        Column("segments_of", "date", "the snapshot whose segments they are"),
        Column("customers", "bigint", "customers in it", "customers"),
        Column("alive", "double", "sum of their p_alive, of the chosen model", "customers"),
        Column("buyers", "double", "how many are expected to order in the horizon", "customers"),
        Column("expected_orders", "double", "sum of theirs, of the chosen model", "days with orders"),
        Column("expected_value", "double", "sum of theirs; null without gamma_gamma", "project's currency"),
        Column("period_days", "int", "length of a period of the chain: between the two newest snapshots", "days"),
        Column("next_customers", "double", "expected a period later; null without two snapshots", "customers"),
        Column("backtest_customers", "double", "what earlier periods forecast of customers; null without", "customers"),
    ),
    ("snapshot_date", "segmentation", "segment"),
    ("snapshot_date",),
)

SEGMENT_TRANSITIONS = TableSpec(
    "segment_transitions",
    "one row a pair of segments: how many went from one to the other in a period, over all like periods",
    (
        required("snapshot_date", "date", "as_of of the prediction"),
        required("segmentation", "string", "name of the segmentation"),
        required("from_segment", "string", "(new) for newcomers; (none) where no rule held"),
        required("to_segment", "string", "(gone) for the departed; (none) where no rule holds"),
        required("customers", "bigint", "moves, those who stayed too", "customers"),
        Column("probability", "double", "share of those who were in from_segment; null for newcomers", "share"),
        required("periods", "int", "pairs of snapshots that are counted", "periods"),
        required("period_days", "int", "length of the newest; the others differ by a fifth at most", "days"),
    ),
    ("snapshot_date", "segmentation", "from_segment", "to_segment"),
    ("snapshot_date",),
)

PREDICTIONS = TableSpec(
    "predictions",
    "one row a customer who has ordered, snapshot and model of orders; `models` says which is chosen",
    (
        required("snapshot_date", "date", "as_of: the first instant not seen"),
        required("model", "string", "bg_nbd, mbg_nbd, pareto_nbd or nbd"),
        required("customer_key", "string", "the unified person"),
        Column("p_alive", "double", "chance to be a customer still; to bg_nbd who bought once always is", "0 to 1"),
        Column("expected_orders", "double", "purchase days expected in the horizon", "days with orders"),
        Column(
            "expected_value",
            "double",
            "their expected net amount, discounted; null without gamma_gamma",
            "project's currency",
        ),
        Column("p_no_purchase", "double", "chance of no order at all in the horizon", "0 to 1"),
        Column("orders_low", "bigint", "with 95 % chance at least so many", "days with orders"),
        Column("orders_high", "bigint", "with 95 % chance at most so many", "days with orders"),
        Column(
            "order_value", "double", "expected net amount of an order; null without gamma_gamma", "project's currency"
        ),
        required("horizon_days", "int", "from the snapshot on", "days"),
    ),
    ("snapshot_date", "model", "customer_key"),
    ("snapshot_date",),
    "customer_key",
)

MODELS = TableSpec(
    "models",
    "one row a model and snapshot: what it was fitted on, what of, and how it forecast the days held out",
    (
        required("model", "string", "bg_nbd, mbg_nbd, pareto_nbd, gamma_gamma, or nbd: the baseline"),
        required("snapshot_date", "date", "as_of: the first instant not seen"),
        Column("parameters", "map<string,double>", "of the calibration, by the papers' names; v is their gamma"),
        Column("standard_errors", "map<string,double>", "of parameters; without those whose likelihood is flat"),
        Column("log_likelihood", "double", "of the calibration fit, without terms that hold no parameter"),
        Column("refit_parameters", "map<string,double>", "of all days before as_of: what predictions use"),
        Column("refit_standard_errors", "map<string,double>", "of refit_parameters"),
        Column("refit_log_likelihood", "double", "of refit_parameters"),
        Column("fit_end", "date", "last day of calibration", "project's time zone"),
        Column("refit_end", "date", "last day before as_of", "project's time zone"),
        Column("unit", "string", "of time in the parameters: day, week, month or year"),
        Column("customers", "bigint", "whom it was calibrated on", "customers"),
        Column("distinct_statistics", "bigint", "distinct (x, t_x, T) among them: what the fit has to look at", "rows"),
        required("identified", "boolean", "the calibration tells its parameters; false: see problem"),
        Column("problem", "string", "what keeps the parameters from being believed"),
        required("chosen", "boolean", "the model of orders that back-tests best"),
        required(
            "churn", "boolean", "the best model of orders that can doubt who bought once: its p_alive is for rules"
        ),
        Column("holdout_days", "int", "days held out", "days"),
        Column("holdout_customers", "bigint", "calibrated customers, whose held-out orders are forecast", "customers"),
        Column("backtest_actual", "double", "what came in the days held out: orders, of gamma_gamma their value"),
        Column("backtest_forecast", "double", "what was forecast of it"),
        Column("backtest_error", "double", "(forecast - actual) / actual", "share"),
        Column("backtest_mae", "double", "mean absolute error of a customer's orders", "days with orders"),
        Column("backtest_rmse", "double", "root mean square error of a customer's orders; the least is chosen"),
        Column("backtest_last_period", "double", "what `as in the period before` forecasts of backtest_actual"),
        Column("backtest_segment_mean", "double", "what the mean rate of like customers forecasts of it"),
    ),
    ("model", "snapshot_date"),
    ("snapshot_date",),
)
