"""What changed between snapshots, and for which cause."""

from rfm_spark.schemas.spec import SUM_OF_MONEY, Column, TableSpec, required

SEGMENT_MIGRATIONS = TableSpec(
    "segment_migrations",
    "one row a move between two snapshots and its cause; who stays is a row too",
    (
        required("from_snapshot", "date", "newest earlier published snapshot"),
        required("to_snapshot", "date", "this snapshot"),
        required("segmentation", "string", "name of the segmentation"),
        required("from_segment", "string", "(new) where not in the earlier snapshot; (none) where no rule held"),
        required("to_segment", "string", "(gone) where not in this snapshot; (none) where no rule holds"),
        required(
            "cause",
            "string",
            "none, new, returned, departed; identity: keys merged or split; or the first that changes the segment, "
            "alone or else together with those before it: late_data, cut_points, rules, time_passing, behaviour",
        ),
        required("customers", "bigint", "who made this move", "customers"),
        required(
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
        required("run_id", "string", "the run that changed it; runs apply in the order they ended"),
        Column("from_snapshot", "date", "the snapshot that was current before; null: the first of the segmentation"),
        required("snapshot_date", "date", "the snapshot that is current since"),
        required("segmentation", "string", "name of the segmentation"),
        required("customer_key", "string", "the unified person"),
        required("from_segment", "string", "(new) where not in the earlier snapshot; (none) where no rule held"),
        required("to_segment", "string", "(gone) where not in this snapshot; (none) where no rule holds"),
        required("cause", "string", "as in segment_migrations"),
    ),
    ("run_id", "segmentation", "customer_key"),
    (),
    "customer_key",
    "run_id",
)
