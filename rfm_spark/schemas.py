"""Every published table, declared once: columns with type, unit and meaning, key, partitioning, subject key.

Types are Spark SQL type strings, so reading this module needs no session. Tables whose columns depend on the config
(sub-periods, criteria, attributes) are extended by the functions below the registry.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

MONEY = "decimal(18,2)"
SNAPSHOTS = ("snapshot_date", "to_snapshot")
COST = "decimal(18,4)"  # of one contact, which may be less than a cent
SUM_OF_MONEY = "decimal(28,2)"  # of any number of customers


@dataclass(frozen=True)
class Column:
    """One column of a table; `unit` is empty where the type says it all."""

    name: str
    type: str
    meaning: str
    unit: str = ""
    nullable: bool = True
    personal: bool = False  # an id, or an attribute, of a person: never in the statistics of a table's log

    @property
    def comment(self) -> str:
        """What the table's own metadata says about the column."""
        return f"{self.meaning} [{self.unit}]" if self.unit else self.meaning


@dataclass(frozen=True)
class TableSpec:
    """The declared schema of one table.

    `subject_key` is the column that leads to a person (None where a table holds no person), so that lineage and
    erasure find every place a person is in. `written_by` is the column with the run that wrote a row, where rows are
    appended by several. `configured` says which columns the config adds.
    """

    name: str
    grain: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partitioned_by: tuple[str, ...] = ()
    subject_key: str | None = None
    written_by: str | None = None
    configured: str = ""

    @property
    def snapshot(self) -> str | None:
        """The partition column that is a snapshot's date; None where a table holds no snapshots."""
        return next((name for name in self.partitioned_by if name in SNAPSHOTS), None)

    def with_columns(self, *columns: Column) -> "TableSpec":
        """The same table with more columns, those already declared left as they are."""
        known = {column.name for column in self.columns}
        return replace(self, columns=self.columns + tuple(c for c in columns if c.name not in known))

    def types(self) -> list[tuple[str, str]]:
        """(name, type) in declared order."""
        return [(column.name, column.type) for column in self.columns]

    def column_names(self) -> tuple[str, ...]:
        """Names in declared order."""
        return tuple(column.name for column in self.columns)


def _required(name: str, type_: str, meaning: str, unit: str = "") -> Column:
    return Column(name, type_, meaning, unit, nullable=False)


EVENTS = TableSpec(
    "events",
    "one row an event: a purchase row, a refund row, a contact or an engagement",
    (
        _required("source", "string", "name of the source that brought it"),
        _required("event_id", "string", "identity within the source"),
        _required("source_customer_id", "string", "the customer's id in the source"),
        _required("customer_key", "string", "the unified person"),
        _required("event_type", "string", "purchase, refund, contact or engagement"),
        _required("event_ts", "timestamp", "instant of the event", "UTC"),
        _required("event_date", "date", "business date", "project's time zone"),
        Column("order_id", "string", "the order it belongs to; null: the customer's order of that date"),
        Column("amount", MONEY, "positive amount of a purchase or refund", "project's currency"),
        Column("duration_seconds", "bigint", "duration of reading or viewing", "seconds"),
        Column("original_amount", MONEY, "amount before conversion, where converted", "original currency"),
        Column("original_currency", "string", "currency before conversion, where converted"),
        _required("content_hash", "bigint", "hash of the mapped content, to tell a duplicate from a change"),
        Column("earlier_content", "array<bigint>", "content hashes that this row replaced, oldest first"),
        Column("source_file", "string", "file that brought it; null for tables"),
        _required("ingested_run_id", "string", "run that brought or last replaced it"),
        _required("event_month", "date", "first day of the month of event_date"),
    ),
    ("source", "event_id"),
    ("event_month",),
    "customer_key",
    "ingested_run_id",
    configured="extra columns of the sources; id_hashes with an identity section",
)

CUSTOMERS = TableSpec(
    "customers",
    "one row a customer that a profile source knows",
    (
        _required("customer_key", "string", "the unified person"),
        Column("profile_date", "date", "first business date the profile is known from; null: always"),
    ),
    ("customer_key",),
    subject_key="customer_key",
    configured="the attributes; attribute_sources with an identity section",
)

QUARANTINE = TableSpec(
    "quarantine",
    "one row a source row that did not meet the contract",
    (
        _required("quarantine_id", "string", "MD5 of source, record_hash, file and occurrence in it"),
        _required("source", "string", "name of the source"),
        _required("reasons", "array<string>", "every reason, sorted"),
        _required("record", "string", "the raw row as JSON"),
        _required("record_hash", "string", "MD5 of the raw row, its columns by name and without nulls"),
        _required("record_schema", "string", "schema of the raw row, to read record back by"),
        Column("source_file", "string", "file that brought it; null for tables"),
        _required("run_id", "string", "run that judged it last"),
        _required("ingest_date", "date", "date of the run that first saw it"),
    ),
    ("quarantine_id",),
    ("ingest_date",),
    "record",
    "run_id",
)

IDENTITIES = TableSpec(
    "identities",
    "one row an id of a source: a customer's own id, or a value of an id type that rows of the source hold",
    (
        _required("source", "string", "name of the source"),
        _required("id_type", "string", "source_customer_id, or a type of identity.ids"),
        Column("id_value", "string", "the id, normalised; as it stands where it is invalid", personal=True),
        Column("customer_key", "string", "the unified person; null: the value stands with several people"),
        _required(
            "rule",
            "string",
            "of a customer's own id the strongest id type that ties it to another of the person (source_customer_id: "
            "none does; probabilistic); of a value its type, or why it joins nobody: blocked, invalid, unused, "
            "max_customers, max_per_customer",
        ),
        Column("spellings", "array<string>", "how the source writes the value; null of a customer's own id"),
        _required("first_seen_run_id", "string", "first complete run that has seen it"),
        Column("key_since", "timestamp", "start of the run that gave the person's key; of a customer's own id", "UTC"),
    ),
    ("source", "id_type", "id_value"),
    subject_key="customer_key",
)

IDENTITY_LINKS = TableSpec(
    "identity_links",
    "one row a link between a customer of a source and another id: that a row of the source holds both, or a match",
    (
        _required("source", "string", "name of the source"),
        _required("source_customer_id", "string", "the customer's id in the source"),
        _required("rule", "string", "the id type, or probabilistic"),
        _required("to_id", "string", "MD5 of rule and value; of a match, of the other's source and source_customer_id"),
        _required("weight", "double", "1 of an id that is the same, of a match its probability", "probability"),
        _required("outcome", "string", "joined, or why it joins nobody: as rule of identities"),
        _required("customer_key", "string", "the unified person of the customer"),
    ),
    ("source", "source_customer_id", "rule", "to_id"),
    subject_key="customer_key",
)

IDENTITY_CHANGES = TableSpec(
    "identity_changes",
    "one row a key that a run merged into another, or split a person from; good once the run is complete",
    (
        _required("run_id", "string", "the run that changed it; runs apply in the order they ended"),
        _required("change", "string", "merge: other_key is customer_key now; split: customers of other_key are"),
        _required("customer_key", "string", "the key that is used since"),
        _required("other_key", "string", "the key that was"),
    ),
    ("run_id", "change", "customer_key", "other_key"),
    subject_key="customer_key",
    written_by="run_id",
)

IDENTITY_ROUNDS = TableSpec(
    "identity_rounds",
    "one row two numbers that stand for ids or people, as the newest step of joining left them; where an engine of "
    "several machines joins ids, each step is written here and read back",
    (_required("a", "bigint", "a number"), _required("b", "bigint", "what it goes to")),
    ("a", "b"),
)

INGESTED_FILES = TableSpec(
    "ingested_files",
    "one row a file that a run has read, or looked into and found as it was; it counts if the run is complete",
    (
        _required("run_id", "string", "run that read it"),
        _required("source", "string", "name of the source"),
        _required("path", "string", "its address, as in source_file"),
        _required("bytes", "bigint", "size", "bytes"),
        _required("modified_at", "timestamp", "when it was last written", "UTC"),
        Column("content_hash", "string", "SHA-256 of the content; null where it is not on the driver's machine"),
        _required("judged_by", "string", "SHA-256 of what its rows were judged by: config, rates and code"),
        _required("status", "string", "new, changed, again (only judged otherwise), or touched (as it was: not read)"),
        _required("rows_read", "bigint", "its rows, when it was last read", "rows"),
        _required("accepted", "bigint", "rows that went to events", "rows"),
        _required("quarantined", "bigint", "rows that went to quarantine", "rows"),
        _required("exact_duplicates", "bigint", "rows that events had already", "rows"),
        _required("brought_by_others", "bigint", "exact duplicates of what another file has brought", "rows"),
        _required("ingested_at", "timestamp", "start of the run", "UTC"),
    ),
    ("run_id", "source", "path"),
    written_by="run_id",
)

INGESTED_TABLES = TableSpec(
    "ingested_tables",
    "one row a table of a database that a run has read by its watermark; it counts if the run is complete",
    (
        _required("run_id", "string", "run that read it"),
        _required("source", "string", "name of the source"),
        _required("location", "string", "the table, and where its database is"),
        _required("watermark_column", "string", "the column that tells new and changed rows"),
        _required("kind", "string", "number, date or time (in UTC where the column has a zone)"),
        Column("since", "string", "read from here, less the overlap; null: all"),
        Column("watermark", "string", "read up to here, where the next run begins; null: nothing was there"),
        _required("judged_by", "string", "SHA-256 of what its rows were judged by: config, rates and code"),
        _required("rows_read", "bigint", "its rows", "rows"),
        _required("accepted", "bigint", "rows that went to events", "rows"),
        _required("quarantined", "bigint", "rows that went to quarantine", "rows"),
        _required("exact_duplicates", "bigint", "rows that events had already", "rows"),
        _required("ingested_at", "timestamp", "start of the run", "UTC"),
    ),
    ("run_id", "source"),
    written_by="run_id",
)

CUSTOMER_METRICS = TableSpec(
    "customer_metrics",
    "one row a customer and snapshot",
    (
        _required("snapshot_date", "date", "as_of: the first instant not seen"),
        _required("customer_key", "string", "the unified person"),
        Column("recency_days", "int", "from the last counted order ever to the snapshot", "days"),
        Column("contact_recency_days", "int", "from the last contact or engagement ever to the snapshot", "days"),
        _required("frequency", "bigint", "counted orders in the reference period", "orders"),
        _required("monetary", MONEY, "net amount in the reference period", "project's currency"),
        _required("contacts", "bigint", "contacts in the reference period", "contacts"),
        _required("engagements", "bigint", "engagements in the reference period", "engagements"),
        _required("duration_seconds", "bigint", "duration in the reference period", "seconds"),
        Column("tenure_days", "int", "from the first counted order ever to the snapshot", "days"),
        Column("average_order_value", "double", "monetary / frequency", "project's currency an order"),
        Column("mean_gap_days", "double", "between counted orders of the reference period", "days"),
        Column("momentum", "double", "change of monetary between the last two sub-periods, -1 to 1", "ratio"),
        Column("first_order_date", "date", "first counted order ever", "project's time zone"),
        Column("last_order_date", "date", "last counted order ever", "project's time zone"),
        Column("last_contact_date", "date", "last contact or engagement ever", "project's time zone"),
        Column("has_events", "boolean", "any event before the snapshot; false: a profile alone is known"),
    ),
    ("snapshot_date", "customer_key"),
    ("snapshot_date",),
    "customer_key",
    configured="orders_q1…, monetary_q1…, one a sub-period, criteria in SQL, attributes in use",
)

CUT_POINTS = TableSpec(
    "cut_points",
    "one row a cut between two scores of a criterion, per segmentation and group",
    (
        _required("snapshot_date", "date", "snapshot that was scored with it"),
        _required("segmentation", "string", "name of the segmentation"),
        _required("criterion", "string", "name of the criterion"),
        _required("group", "string", "value of group_by; `all` where cut-points are not grouped"),
        _required("position", "int", "1..bins-1, ascending"),
        _required("metric", "string", "column of customer_metrics that is cut"),
        _required("value", "double", "the cut: scores change strictly above it", "of the metric"),
        Column("probability", "double", "share of the fit population at or below; null for fixed cuts"),
        _required("method", "string", "approx_quantile, interpolated, fixed or frozen"),
        Column("relative_error", "double", "of the stored value, in rank; 0 where it is exact", "share of customers"),
        Column("customers", "bigint", "customers it was fitted on", "customers"),
        Column("distinct_values", "bigint", "distinct values among them; above 2 million values, within 5 %"),
        Column("attainable_scores", "array<int>", "scores that occur among them; ties can leave some out"),
    ),
    ("snapshot_date", "segmentation", "criterion", "group", "position"),
    ("snapshot_date",),
)

CUSTOMER_SEGMENTS = TableSpec(
    "customer_segments",
    "one row a customer, snapshot and segmentation",
    (
        _required("snapshot_date", "date", "as_of: the first instant not seen"),
        _required("segmentation", "string", "name of the segmentation"),
        _required("customer_key", "string", "the unified person"),
        Column("segment", "string", "first segment whose rule holds; null where none does"),
        _required("rfm_score", "string", "the scores joined in the config's order"),
        Column("rule", "string", "the condition that fired"),
        Column("previous_segment", "string", "segment in the newest earlier complete snapshot"),
        Column("segment_since", "date", "first snapshot of the unbroken stay in the segment"),
    ),
    ("snapshot_date", "segmentation", "customer_key"),
    ("segmentation", "snapshot_date"),
    "customer_key",
    configured="r_score, f_score, m_score, one a criterion",
)

SEGMENT_PROFILES = TableSpec(
    "segment_profiles",
    "one row a segment and snapshot, empty segments too",
    (
        _required("snapshot_date", "date", "snapshot"),
        _required("segmentation", "string", "name of the segmentation"),
        _required("segment", "string", "name of the segment"),
        _required("customers", "bigint", "customers in it", "customers"),
        _required("share", "double", "of the population", "share"),
        _required("monetary", SUM_OF_MONEY, "their net amount in the reference period", "project's currency"),
        Column("monetary_share", "double", "of the population's net amount; null where that is 0", "share"),
        Column("action", "string", "decision, channel and message, as JSON"),
    ),
    ("snapshot_date", "segmentation", "segment"),
    ("snapshot_date",),
    configured="mean_… and median_… of each metric",
)

SEGMENT_MIGRATIONS = TableSpec(
    "segment_migrations",
    "one row a move between two snapshots and its cause; who stays is a row too",
    (
        _required("from_snapshot", "date", "newest earlier published snapshot"),
        _required("to_snapshot", "date", "this snapshot"),
        _required("segmentation", "string", "name of the segmentation"),
        _required("from_segment", "string", "(new) where not in the earlier snapshot; (none) where no rule held"),
        _required("to_segment", "string", "(gone) where not in this snapshot; (none) where no rule holds"),
        _required(
            "cause",
            "string",
            "none, new, returned, departed; identity: keys merged or split; or the first that alone changes the "
            "segment: late_data, cut_points, rules, time_passing, behaviour",
        ),
        _required("customers", "bigint", "who made this move", "customers"),
        _required(
            "monetary", SUM_OF_MONEY, "their net amount, of the departed in the earlier snapshot", "project's currency"
        ),
    ),
    ("from_snapshot", "to_snapshot", "segmentation", "from_segment", "to_segment", "cause"),
    ("to_snapshot",),
)

SEGMENT_CHANGES = TableSpec(
    "segment_changes",
    "one row a customer whose current segment a run changed; good once the run is complete",
    (
        _required("run_id", "string", "the run that changed it; runs apply in the order they ended"),
        Column("from_snapshot", "date", "the snapshot that was current before; null: the first of the segmentation"),
        _required("snapshot_date", "date", "the snapshot that is current since"),
        _required("segmentation", "string", "name of the segmentation"),
        _required("customer_key", "string", "the unified person"),
        _required("from_segment", "string", "(new) where not in the earlier snapshot; (none) where no rule held"),
        _required("to_segment", "string", "(gone) where not in this snapshot; (none) where no rule holds"),
        _required("cause", "string", "as in segment_migrations"),
    ),
    ("run_id", "segmentation", "customer_key"),
    (),
    "customer_key",
    "run_id",
)

SEGMENT_FORECASTS = TableSpec(
    "segment_forecasts",
    "one row a segment of the newest snapshot at or before a prediction: what it is expected to do, and to become",
    (
        _required("snapshot_date", "date", "as_of of the prediction"),
        _required("segmentation", "string", "name of the segmentation"),
        _required("segment", "string", "name of the segment; (none) where no rule held"),
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
        _required("snapshot_date", "date", "as_of of the prediction"),
        _required("segmentation", "string", "name of the segmentation"),
        _required("from_segment", "string", "(new) for newcomers; (none) where no rule held"),
        _required("to_segment", "string", "(gone) for the departed; (none) where no rule holds"),
        _required("customers", "bigint", "moves, those who stayed too", "customers"),
        Column("probability", "double", "share of those who were in from_segment; null for newcomers", "share"),
        _required("periods", "int", "pairs of snapshots that are counted", "periods"),
        _required("period_days", "int", "length of the newest; the others differ by a fifth at most", "days"),
    ),
    ("snapshot_date", "segmentation", "from_segment", "to_segment"),
    ("snapshot_date",),
)

CONSENTS = TableSpec(
    "consents",
    "one row a decision of a customer on being contacted, or an entry of a suppression or exclusion list",
    (
        _required("source", "string", "name of the source that brought it"),
        _required("customer_key", "string", "the unified person"),
        _required("kind", "string", "consent, suppression or exclusion"),
        Column("channel", "string", "in lower case; null: every channel"),
        Column("purpose", "string", "in lower case; null: every purpose"),
        _required("status", "string", "granted or refused; what is on a list is refused"),
        Column("decided_at", "timestamp", "from when it holds; null: always, and no later decision ends it", "UTC"),
        Column("expires_at", "timestamp", "first instant it does not hold; null: none", "UTC"),
        _required("content_hash", "bigint", "hash of the decision: equal rows of a source are one"),
    ),
    ("source", "customer_key", "content_hash"),
    subject_key="customer_key",
)

AUDIENCES = TableSpec(
    "audiences",
    "one row a person selected by a campaign, those held out too; the campaign's newest wave",
    (
        _required("campaign", "string", "name of the campaign; global_holdout: all campaigns at once"),
        _required("customer_key", "string", "the unified person"),
        _required("snapshot_date", "date", "snapshot whose segments were used"),
        _required("segment", "string", "the person's segment; of global_holdout the campaign that selected them"),
        _required("group", "string", "treatment: is contacted; holdout: is not"),
        _required("channel", "string", "channel of the contact"),
        _required("purpose", "string", "purpose that consent was asked for"),
        Column("message", "string", "rendered for the person, values escaped; null in the holdout"),
        _required("send_at", "timestamp", "when it is sent, or would have been", "UTC"),
        _required("expected_value", "double", "money more that the contact is expected to bring", "project's currency"),
        _required("basis", "string", "what that rests on: measured, stated, predicted or assumed"),
        _required("cost", COST, "cost of the contact; 0 in the holdout", "project's currency"),
        _required("draw", "int", "0..9999, the person's place in the draw of the campaign's holdout"),
        _required("holdout_share", "double", "share that the draw holds out", "share"),
        _required("run_id", "string", "run that selected them"),
    ),
    ("campaign", "customer_key"),
    ("campaign",),
    "customer_key",
)

CAMPAIGN_RESULTS = TableSpec(
    "campaign_results",
    "one row a campaign, segment (`all`: the whole), arm and metric, as measured last",
    (
        _required("campaign", "string", "name of the campaign; global_holdout: all campaigns at once"),
        _required("segment", "string", "segment before the send; all: everybody assigned"),
        _required("arm", "string", "the treated group that is compared with the holdout"),
        _required("metric", "string", "rate: share with a success; value: net money a person, zeros included"),
        _required("treated", "bigint", "people assigned to the arm", "people"),
        _required("held_out", "bigint", "people assigned to the holdout", "people"),
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
        _required("cost", "double", "of contacting the arm", "project's currency"),
        Column("roi", "double", "(uplift x treated x margin - cost) / cost, of value alone; null without cost"),
        Column("roi_low", "double", "the same at ci_low"),
        Column("roi_high", "double", "the same at ci_high"),
        _required("verdict", "string", "worked, did not or inconclusive"),
        _required("reason", "string", "why, in words"),
        Column("needed", "bigint", "people in all that would settle it, where inconclusive", "people"),
        Column("sample_ratio_p", "double", "of the chi-square test that groups have the sizes they were drawn with"),
        _required(
            "contaminated", "bigint", "people in both groups, by a merge or twice in the file: left out", "people"
        ),
        _required("as_of", "date", "first day not seen"),
        _required("complete", "boolean", "whether everybody's window was over"),
        _required("run_id", "string", "run that measured it"),
    ),
    ("campaign", "segment", "arm", "metric"),
)

RUNS = TableSpec(
    "runs",
    "one row a run, complete or failed, written last",
    (
        _required("run_id", "string", "identity of the run; every commit of the run carries it"),
        _required("job", "string", "run, ingest, segment, maintain, target, measure, or replay (ingest --replay)"),
        Column("as_of", "date", "the first instant not seen"),
        _required("started_at", "timestamp", "start", "UTC"),
        _required("ended_at", "timestamp", "end", "UTC"),
        _required("status", "string", "complete, invalid, gate_failed, conflict, environment or failed"),
        _required("exit_code", "int", "what the command returned"),
        Column("message", "string", "why it did not complete, or what it warns of"),
        _required("config", "string", "the resolved config as JSON, secrets removed"),
        _required("config_hash", "string", "SHA-256 of config"),
        _required("code_version", "string", "version of rfm_spark"),
        _required("engine", "string", "engine and version"),
        _required("inputs", "map<string,string>", "source: path or table it was read from"),
        _required("counts", "map<string,bigint>", "rows by source and outcome, rows and files by table"),
        _required("table_versions", "map<string,bigint>", "Delta version of each table that this run's readers use"),
    ),
    ("run_id",),
)

SEGMENT_HISTORY = TableSpec(
    "segment_history",
    "one row a customer, segmentation and unbroken stay in a segment; a view of `customer_segments`",
    (
        _required("segmentation", "string", "name of the segmentation"),
        _required("customer_key", "string", "the unified person"),
        _required("segment", "string", "segment of the stay"),
        _required("valid_from", "date", "first published snapshot of the stay"),
        Column("valid_to", "date", "first later snapshot that has the customer elsewhere or not; null while it lasts"),
        _required("snapshots", "bigint", "published snapshots of the stay", "snapshots"),
    ),
    ("segmentation", "customer_key", "valid_from"),
    subject_key="customer_key",
)

PREDICTIONS = TableSpec(
    "predictions",
    "one row a customer who has ordered, snapshot and model of orders; `models` says which is chosen",
    (
        _required("snapshot_date", "date", "as_of: the first instant not seen"),
        _required("model", "string", "bg_nbd, mbg_nbd, pareto_nbd or nbd"),
        _required("customer_key", "string", "the unified person"),
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
        _required("horizon_days", "int", "from the snapshot on", "days"),
    ),
    ("snapshot_date", "model", "customer_key"),
    ("snapshot_date",),
    "customer_key",
)

MODELS = TableSpec(
    "models",
    "one row a model and snapshot: what it was fitted on, what of, and how it forecast the days held out",
    (
        _required("model", "string", "bg_nbd, mbg_nbd, pareto_nbd, gamma_gamma, or nbd: the baseline"),
        _required("snapshot_date", "date", "as_of: the first instant not seen"),
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
        _required("identified", "boolean", "the calibration tells its parameters; false: see problem"),
        Column("problem", "string", "what keeps the parameters from being believed"),
        _required("chosen", "boolean", "the model of orders that back-tests best"),
        _required(
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

TABLES: Mapping[str, TableSpec] = {
    spec.name: spec
    for spec in (
        EVENTS,
        CUSTOMERS,
        QUARANTINE,
        IDENTITIES,
        IDENTITY_LINKS,
        IDENTITY_CHANGES,
        IDENTITY_ROUNDS,
        INGESTED_FILES,
        INGESTED_TABLES,
        CUSTOMER_METRICS,
        CUT_POINTS,
        CUSTOMER_SEGMENTS,
        SEGMENT_PROFILES,
        SEGMENT_MIGRATIONS,
        SEGMENT_CHANGES,
        PREDICTIONS,
        MODELS,
        SEGMENT_FORECASTS,
        SEGMENT_TRANSITIONS,
        CONSENTS,
        AUDIENCES,
        CAMPAIGN_RESULTS,
        RUNS,
    )
}


def sub_period_columns(sub_periods: int) -> tuple[Column, ...]:
    """orders_q1..qn and monetary_q1..qn, qn the latest."""
    orders = tuple(
        _required(f"orders_q{i}", "bigint", f"counted orders in sub-period {i}", "orders")
        for i in range(1, sub_periods + 1)
    )
    monetary = tuple(
        _required(f"monetary_q{i}", MONEY, f"net amount in sub-period {i}", "project's currency")
        for i in range(1, sub_periods + 1)
    )
    return orders + monetary


def customer_metrics(sub_periods: int) -> TableSpec:
    """`customer_metrics` with its sub-periods; criteria and attributes are added by `with_columns`."""
    return CUSTOMER_METRICS.with_columns(*sub_period_columns(sub_periods))


def customer_segments(criteria: tuple[str, ...]) -> TableSpec:
    """`customer_segments` with one score column a criterion used by any segmentation."""
    return CUSTOMER_SEGMENTS.with_columns(
        *(Column(f"{name}_score", "int", f"score of criterion {name}; null where not used") for name in criteria)
    )


PROFILED_METRICS = (
    "recency_days",
    "contact_recency_days",
    "frequency",
    "monetary",
    "contacts",
    "engagements",
    "duration_seconds",
    "tenure_days",
    "average_order_value",
    "mean_gap_days",
    "momentum",
)


def segment_profiles(criteria: Sequence[str]) -> TableSpec:
    """`segment_profiles` with mean and median of each standard metric and of each numeric criterion of the user's."""
    names = PROFILED_METRICS + tuple(name for name in criteria if name not in PROFILED_METRICS)
    return SEGMENT_PROFILES.with_columns(
        *(Column(f"mean_{name}", "double", f"mean of {name}, nulls left out") for name in names),
        *(Column(f"median_{name}", "double", f"median (lower) of {name}, nulls left out") for name in names),
    )


def configured(name: str, type_: str, *, personal: bool = False) -> Column:
    """A column that the config adds to a table."""
    return Column(name, type_, "column of the project's config", personal=personal)


ID_HASHES = Column("id_hashes", "array<string>", "MD5 of type and spelling of each id that the row holds")
ATTRIBUTE_SOURCES = Column("attribute_sources", "map<string,string>", "attribute: source that its value came from")
