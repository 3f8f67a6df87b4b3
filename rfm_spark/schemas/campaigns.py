"""Who may be contacted, who was chosen, and what came of it."""

from rfm_spark.schemas.spec import COST, Column, TableSpec, required

CONSENTS = TableSpec(
    "consents",
    "one row a decision of a customer on being contacted, or an entry of a suppression or exclusion list",
    (
        required("source", "string", "name of the source that brought it"),
        required("customer_key", "string", "the unified person"),
        required("kind", "string", "consent, suppression or exclusion"),
        Column("channel", "string", "in lower case; null: every channel"),
        Column("purpose", "string", "in lower case; null: every purpose"),
        required("status", "string", "granted or refused; what is on a list is refused"),
        Column("decided_at", "timestamp", "from when it holds; null: always, and no later decision ends it", "UTC"),
        Column("expires_at", "timestamp", "first instant it does not hold; null: none", "UTC"),
        required("content_hash", "bigint", "hash of the decision: equal rows of a source are one"),
    ),
    ("source", "customer_key", "content_hash"),
    subject_key="customer_key",
)

AUDIENCES = TableSpec(
    "audiences",
    "one row a person selected by a campaign, those held out too; the campaign's newest wave",
    (
        required("campaign", "string", "name of the campaign; global_holdout: all campaigns at once"),
        required("customer_key", "string", "the unified person"),
        required("snapshot_date", "date", "snapshot whose segments were used"),
        required("segment", "string", "the person's segment; of global_holdout the campaign that selected them"),
        required("group", "string", "treatment: is contacted; holdout: is not"),
        required("channel", "string", "channel of the contact"),
        required("purpose", "string", "purpose that consent was asked for"),
        Column("message", "string", "rendered for the person, values escaped; null in the holdout"),
        required("send_at", "timestamp", "when it is sent, or would have been", "UTC"),
        required("expected_value", "double", "money more that the contact is expected to bring", "project's currency"),
        required("basis", "string", "what that rests on: measured, stated, predicted or assumed"),
        required("cost", COST, "cost of the contact; 0 in the holdout", "project's currency"),
        required("draw", "int", "0..9999, the person's place in the draw of the campaign's holdout"),
        required("holdout_share", "double", "share that the draw holds out", "share"),
        required("run_id", "string", "run that selected them"),
    ),
    ("campaign", "customer_key"),
    ("campaign",),
    "customer_key",
)

CAMPAIGN_RESULTS = TableSpec(
    "campaign_results",
    "one row a campaign, segment (`all`: the whole), arm and metric, as measured last",
    (
        required("campaign", "string", "name of the campaign; global_holdout: all campaigns at once"),
        required("segment", "string", "segment before the send; all: everybody assigned"),
        required("arm", "string", "the treated group that is compared with the holdout"),
        required("metric", "string", "rate: share with a success; value: net money a person, zeros included"),
        required("treated", "bigint", "people assigned to the arm", "people"),
        required("held_out", "bigint", "people assigned to the holdout", "people"),
        Column("treated_mean", "double", "mean of the arm", "share, or project's currency a person"),
        Column("holdout_mean", "double", "mean of the holdout", "share, or project's currency a person"),
        Column("uplift", "double", "treated_mean - holdout_mean, whatever was received", "as the means"),
        Column("ci_low", "double", "lower end of Welch's interval of the uplift", "as the means"),
        Column("ci_high", "double", "upper end of it", "as the means"),
        Column("p_value", "double", "of Welch's test that there is no uplift, two-sided"),
        Column("p_adjusted", "double", "the same by Holm, over all campaigns and arms measured, or all segments"),
        Column("cuped_uplift", "double", "adjusted with the money of as many days before the send", "as the means"),
        Column("cuped_ci_low", "double", "lower end of its interval", "as the means"),
        Column("cuped_ci_high", "double", "upper end of it", "as the means"),
        Column("cuped_p_value", "double", "of the adjusted test"),
        Column(
            "bootstrap_ci_low", "double", "lower end of the Poisson bootstrap's percentile interval", "as the means"
        ),
        Column("bootstrap_ci_high", "double", "upper end of it", "as the means"),
        required("cost", "double", "of contacting the arm", "project's currency"),
        Column("roi", "double", "(uplift x treated x margin - cost) / cost, of value alone; null without cost"),
        Column("roi_low", "double", "the same at ci_low"),
        Column("roi_high", "double", "the same at ci_high"),
        required("verdict", "string", "worked, did not or inconclusive"),
        required("reason", "string", "why, in words"),
        Column("needed", "bigint", "people in all that would settle it, where inconclusive", "people"),
        Column("sample_ratio_p", "double", "of the chi-square test that groups have the sizes they were drawn with"),
        required(
            "contaminated", "bigint", "people in both groups, by a merge or twice in the file: left out", "people"
        ),
        required("as_of", "date", "first day not seen"),
        required("complete", "boolean", "whether everybody's window was over"),
        required("run_id", "string", "run that measured it"),
    ),
    ("campaign", "segment", "arm", "metric"),
)
