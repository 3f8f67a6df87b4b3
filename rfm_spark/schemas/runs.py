"""What was run."""

from rfm_spark.schemas.spec import Column, TableSpec, required

RUNS = TableSpec(
    "runs",
    "one row a run, complete or failed, written last",
    (
        required("run_id", "string", "identity of the run; every commit of the run carries it"),
        required("job", "string", "the command that was run; replay is ingest --replay"),
        Column("as_of", "date", "the first instant not seen"),
        required("started_at", "timestamp", "start", "UTC"),
        required("ended_at", "timestamp", "end", "UTC"),
        required("status", "string", "complete, invalid, gate_failed, conflict, environment or failed"),
        required("exit_code", "int", "what the command returned"),
        Column("message", "string", "why it did not complete, or what it warns of"),
        required("config", "string", "the resolved config as JSON, secrets removed"),
        required("config_hash", "string", "SHA-256 of config"),
        required("code_version", "string", "version of rfm_spark"),
        required("engine", "string", "engine and version"),
        required("inputs", "map<string,string>", "source: path or table it was read from"),
        required("counts", "map<string,bigint>", "rows by source and outcome, rows, files and versions by table"),
        required("table_versions", "map<string,bigint>", "Delta version of each table that this run's readers use"),
    ),
    ("run_id",),
)
