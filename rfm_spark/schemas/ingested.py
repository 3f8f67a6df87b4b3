"""What an ingest writes: events, customers, what was refused, and which files and tables were read."""

from rfm_spark.schemas.spec import MONEY, Column, TableSpec, required

EVENTS = TableSpec(
    "events",
    "one row an event: a purchase row, a refund row, a contact or an engagement",
    (
        required("source", "string", "name of the source that brought it"),
        required("event_id", "string", "identity within the source"),
        required("source_customer_id", "string", "the customer's id in the source"),
        required("customer_key", "string", "the unified person"),
        required("event_type", "string", "purchase, refund, contact or engagement"),
        required("event_ts", "timestamp", "instant of the event", "UTC"),
        required("event_date", "date", "business date", "project's time zone"),
        Column("order_id", "string", "the order it belongs to; null: the customer's order of that date"),
        Column("amount", MONEY, "positive amount of a purchase or refund", "project's currency"),
        Column("duration_seconds", "bigint", "duration of reading or viewing", "seconds"),
        Column("original_amount", MONEY, "amount before conversion, where converted", "original currency"),
        Column("original_currency", "string", "currency before conversion, where converted"),
        required("content_hash", "bigint", "hash of the mapped content, to tell a duplicate from a change"),
        Column("earlier_content", "array<bigint>", "content hashes that this row replaced, oldest first"),
        Column("source_file", "string", "file that brought it; null for tables"),
        required("ingested_run_id", "string", "run that brought or last replaced it"),
        required("event_month", "date", "first day of the month of event_date"),
    ),
    ("source", "event_id"),
    ("event_month",),
    "customer_key",
    "ingested_run_id",
    added_columns="extra columns of the sources; id_hashes with an identity section",
)

CUSTOMERS = TableSpec(
    "customers",
    "one row a customer that a profile source knows",
    (
        required("customer_key", "string", "the unified person"),
        Column("profile_date", "date", "first business date the profile is known from; null: always"),
    ),
    ("customer_key",),
    subject_key="customer_key",
    added_columns="the attributes; attribute_sources with an identity section",
)

QUARANTINE = TableSpec(
    "quarantine",
    "one row a source row that did not meet the contract",
    (
        required("quarantine_id", "string", "MD5 of source, record_hash, file and occurrence in it"),
        required("source", "string", "name of the source"),
        required("reasons", "array<string>", "every reason, sorted"),
        required("record", "string", "the raw row as JSON"),
        required("record_hash", "string", "MD5 of the raw row, its columns by name and without nulls"),
        required("record_schema", "string", "schema of the raw row, to read record back by"),
        Column("source_file", "string", "file that brought it; null for tables"),
        required("run_id", "string", "run that judged it last"),
        required("ingest_date", "date", "date of the run that first saw it"),
    ),
    ("quarantine_id",),
    ("ingest_date",),
    "record",
    "run_id",
)

INGESTED_FILES = TableSpec(
    "ingested_files",
    "one row a file that a run has read, or looked into and found as it was; it counts if the run is complete",
    (
        required("run_id", "string", "run that read it"),
        required("source", "string", "name of the source"),
        required("path", "string", "its address, as in source_file"),
        required("bytes", "bigint", "size", "bytes"),
        required("modified_at", "timestamp", "when it was last written", "UTC"),
        Column("content_hash", "string", "SHA-256 of the content; null where it is not on the driver's machine"),
        required("judged_by", "string", "SHA-256 of what its rows were judged by: config, rates and code"),
        Column("last_event_date", "date", "newest business date of its rows, up to which rates count"),
        required(
            "status",
            "string",
            "new, changed, again (judged otherwise), touched (not read), withdrawn (gone since a run failed)",
        ),
        required("rows_read", "bigint", "its rows, when it was last read", "rows"),
        required("accepted", "bigint", "rows that went to events", "rows"),
        required("quarantined", "bigint", "rows that went to quarantine", "rows"),
        required("exact_duplicates", "bigint", "rows that events had already", "rows"),
        required("brought_by_others", "bigint", "exact duplicates of what another file has brought", "rows"),
        required("ingested_at", "timestamp", "start of the run", "UTC"),
    ),
    ("run_id", "source", "path"),
    written_by="run_id",
)

INGESTED_TABLES = TableSpec(
    "ingested_tables",
    "one row a table of a database that a run has read by its watermark; it counts if the run is complete",
    (
        required("run_id", "string", "run that read it"),
        required("source", "string", "name of the source"),
        required("location", "string", "the table, and where its database is"),
        required("watermark_column", "string", "the column that tells new and changed rows"),
        required("kind", "string", "number, date or time (in UTC where the column has a zone)"),
        Column("since", "string", "read from here, less the overlap; null: all"),
        Column("watermark", "string", "read up to here, where the next run begins; null: nothing was there"),
        required("judged_by", "string", "SHA-256 of what its rows were judged by: config, rates and code"),
        required("rows_read", "bigint", "its rows", "rows"),
        required("accepted", "bigint", "rows that went to events", "rows"),
        required("quarantined", "bigint", "rows that went to quarantine", "rows"),
        required("exact_duplicates", "bigint", "rows that events had already", "rows"),
        required("ingested_at", "timestamp", "start of the run", "UTC"),
    ),
    ("run_id", "source"),
    written_by="run_id",
)

ATTRIBUTE_SOURCES = Column("attribute_sources", "map<string,string>", "attribute: source that its value came from")
