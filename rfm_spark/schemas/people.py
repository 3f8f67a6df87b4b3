"""One person under several ids."""

from rfm_spark.schemas.spec import Column, TableSpec, required

IDENTITIES = TableSpec(
    "identities",
    "one row an id of a source: a customer's own id, or a value of an id type that rows of the source hold",
    (
        required("source", "string", "name of the source"),
        required("id_type", "string", "source_customer_id, or a type of identity.ids"),
        Column("id_value", "string", "the id, normalised; as it stands where it is invalid"),
        Column("customer_key", "string", "the unified person; null: the value stands with several people"),
        required(
            "rule",
            "string",
            "of a customer's own id the strongest id type that ties it to another of the person (source_customer_id: "
            "none does; probabilistic); of a value its type, or why it joins nobody: blocked, invalid, unused, "
            "max_customers, max_per_customer",
        ),
        Column("spellings", "array<string>", "how the source writes the value; null of a customer's own id"),
        required("first_seen_run_id", "string", "first complete run that has seen it"),
        Column("key_since", "timestamp", "start of the run that gave the person's key; of a customer's own id", "UTC"),
    ),
    ("source", "id_type", "id_value"),
    subject_key="customer_key",
)

IDENTITY_LINKS = TableSpec(
    "identity_links",
    "one row a link between a customer of a source and another id: that a row of the source holds both, or a match",
    (
        required("source", "string", "name of the source"),
        required("source_customer_id", "string", "the customer's id in the source"),
        required("rule", "string", "the id type, or probabilistic"),
        required("to_id", "string", "MD5 of rule and value; of a match, of the other's source and source_customer_id"),
        required("weight", "double", "1 of an id that is the same, of a match its probability", "probability"),
        required("outcome", "string", "joined, or why it joins nobody: as rule of identities"),
        required("customer_key", "string", "the unified person of the customer"),
    ),
    ("source", "source_customer_id", "rule", "to_id"),
    subject_key="customer_key",
)

IDENTITY_CHANGES = TableSpec(
    "identity_changes",
    "one row a key that a run merged into another, or split a person from; good once the run is complete",
    (
        required("run_id", "string", "the run that changed it; runs apply in the order they ended"),
        required("change", "string", "merge: other_key is customer_key now; split: customers of other_key are"),
        required("customer_key", "string", "the key that is used since"),
        required("other_key", "string", "the key that was"),
    ),
    ("run_id", "change", "customer_key", "other_key"),
    subject_key="customer_key",
    written_by="run_id",
)

IDENTITY_ROUNDS = TableSpec(
    "identity_rounds",
    "one row two numbers that stand for ids or people, as the newest step of joining left them; where an engine of "
    "several machines joins ids, each step is written here and read back",
    (required("a", "bigint", "a number"), required("b", "bigint", "what it goes to")),
    ("a", "b"),
)

ID_HASHES = Column("id_hashes", "array<string>", "MD5 of type and spelling of each id that the row holds")
