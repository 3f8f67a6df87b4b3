"""Identity: whose ids are one person's, between the settled rows and `events`; its record is `identities`.

All is made anew from what the lake and the sources hold: `events` has a hash of each id that a row came with,
`identities` the spellings that the hashes are of, and today's profiles and decisions their ids themselves.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark import engines, schemas, session
from rfm_spark.config.identity import OWN_ID, Identity
from rfm_spark.errors import EnvironmentFault
from rfm_spark.lake import Lake
from rfm_spark.local import local_frame
from rfm_spark.pipelines import matching
from rfm_spark.pipelines.published import published
from rfm_spark.pipelines.run_record import Run
from rfm_spark.sql import Keep, union
from rfm_spark.steps.contract import id_column
from rfm_spark.steps.identity import keys, links, normalise, people, record
from rfm_spark.steps.identity.links import OWNER

_LIBRARY = "phonenumbers"
_VALUE = ["id_type", "id_value"]


@dataclass(frozen=True)
class Unified:
    """Who is whom: `keyed` (source, source_customer_id, customer_key) of all; `restated`, the same of those whose
    events in the lake have another key; the rows of the tables to write."""

    keyed: DataFrame
    restated: DataFrame
    tables: Mapping[str, DataFrame] = field(default_factory=dict)

    def named(self, rows: DataFrame, id_: str = "customer_key") -> DataFrame:
        """The rows (source, customer_key) with the person's key; column `id_` holds the id in the source."""
        by = self.keyed.select("source", F.col("source_customer_id").alias("_id"), F.col("customer_key").alias("_key"))
        told = rows.withColumn("_id", F.col(id_)).join(by, ["source", "_id"], "left")
        key = F.coalesce("_key", "customer_key").alias("customer_key")
        return told.select(*(key if name == "customer_key" else F.col(f"`{name}`") for name in rows.columns))


def _columns(identity: Identity) -> dict[str, str]:
    """{id type: column of judged rows that holds it}."""
    return {name: id_column(name) for name in identity.ids}


def unify(
    run: Run,
    identity: Identity,
    arriving: DataFrame | None,
    stored: DataFrame | None,
    existing: DataFrame | None,
    others: Iterable[DataFrame],
) -> Unified:
    """Join the ids of events and of sources that are read whole to people, and give them their keys.

    Reads: `arriving`, settled rows that go to `events`; `stored`, the events in the lake; `existing`, those of them
        that stay; `others`, clean judged rows of profiles and decisions, whose customer_key is the id in the source.
    Records: identity.people, identity.ids, identity.rounds, identity.merged, identity.split and, of each reason,
        identity.dropped.<reason>: the values that join nobody.
    """
    own = [frame.withColumnRenamed("customer_key", "source_customer_id") for frame in others]
    before = _before(run)
    owners = run.checkpoint(_owners(arriving, existing, own))
    known = before if before is not None else _known_by_events(run, stored)
    spelled = _spelled(run, identity, arriving, existing, own, before)
    values = run.checkpoint(_values(run, identity, spelled))
    linked = run.checkpoint(links.links(spelled, values, list(identity.ids)))
    nodes, _ = _numbered(owners, OWNER, "node", run.checkpoint)
    alike = matching.alike(run, identity, own, nodes) if identity.probabilistic is not None else None
    linked, alike = _with_values(run, linked, alike)
    placed = linked.join(nodes.select(*OWNER, "node"), OWNER)
    good = run.checkpoint(placed.filter(F.col("state") == links.GOOD).select("node", "id_type", "value"))
    joined = people.join(nodes, good, identity.ids, alike, _step_checkpoint(run))
    run.counts |= {f"identity.rounds.{name}": n for name, n in joined.rounds.items()}
    run.counts["identity.rounds"] = sum(joined.rounds.values())
    own_known = known.filter(F.col("id_type") == OWN_ID).select(
        "source", F.col("id_value").alias("source_customer_id"), "customer_key",
        F.coalesce(F.unix_micros("key_since"), F.lit(0)).alias("key_since_us"),
    )  # fmt: skip
    started_us = round(run.started_at.timestamp() * 1_000_000)
    named, changed = keys.keyed(nodes.join(joined.people, "node"), own_known, started_us, run.run_id)
    named, changed = run.checkpoint(named), run.checkpoint(changed)
    told = run.checkpoint(record.with_outcome(placed, people.all_dropped(joined)))
    rows = {
        schemas.IDENTITIES.name: record.identities(named, told, alike, list(identity.ids), known, run.run_id),
        schemas.IDENTITY_LINKS.name: record.links(named, told, alike, people.all_dropped(joined)),
        schemas.IDENTITY_CHANGES.name: changed.withColumn("run_id", F.lit(run.run_id)),
    }
    _count(run, named, changed, told)
    keyed = named.select(*OWNER, "customer_key")
    stale = owners.filter("least_key is not null").join(keyed, OWNER)
    other = ~F.col("customer_key").eqNullSafe(F.col("least_key")) | ~F.col("customer_key").eqNullSafe(F.col("most_key"))
    restated = run.checkpoint(stale.filter(other).select(*OWNER, "customer_key"))
    return Unified(keyed, restated, rows)


def hashed(rows: DataFrame, identity: Identity) -> DataFrame:
    """The rows with `id_hashes`, what `events` keeps of their ids."""
    return rows.withColumn(schemas.ID_HASHES.name, links.hashes(rows, _columns(identity)))


def restate(run: Run, unified: Unified, events: DataFrame) -> DataFrame:
    """The events, those of the restated customers under their new key: one MERGE, of the files that hold them."""
    if run.dry:
        return unified.named(events, "source_customer_id")
    n = run.counts["identity.restated"] = unified.restated.count()
    if not n:
        return events
    return _rekeyed(run, unified.restated)


def was_joined(run: Run) -> bool:
    """Whether an earlier project has joined ids in this lake, and this one does not."""
    return run.config.identity is None and run.lake.exists(schemas.IDENTITIES.name)


def parted(run: Run, events: DataFrame) -> DataFrame:
    """The events under their sources' own ids, as without an identity section: where others are there, one MERGE."""
    own = F.col("source_customer_id")
    if run.dry:
        return events.withColumn("customer_key", own)
    joined = events.filter(F.col("customer_key") != own)
    owners = run.checkpoint(joined.select(*OWNER, own.alias("customer_key")).distinct())
    return events if owners.isEmpty() else _rekeyed(run, owners)


def write(run: Run, unified: Unified) -> None:
    """Write who is whom, how it came about, and what changed."""
    for spec in (schemas.IDENTITIES, schemas.IDENTITY_LINKS):
        rows = unified.tables[spec.name].select(*spec.column_names())
        run.counts[f"{spec.name}.rows"] = run.lake.replace(spec, rows, anew=True).rows
    changed = unified.tables[schemas.IDENTITY_CHANGES.name].select(*schemas.IDENTITY_CHANGES.column_names())
    run.lake.create(schemas.IDENTITY_CHANGES)
    if run.counts.get("identity.merged") or run.counts.get("identity.split"):
        run.lake.append(schemas.IDENTITY_CHANGES, changed)


# --- inside ----------------------------------------------------------------------------------------------------------


def _rekeyed(run: Run, owners: DataFrame) -> DataFrame:
    """The events, those of some customers of sources under the key that these are given."""
    clause = "WHEN MATCHED AND t.customer_key <> s.customer_key THEN UPDATE SET t.customer_key = s.customer_key"
    return run.lake.merge(schemas.EVENTS, owners, clause, run.lake.versions().get("events"), on=OWNER).frame


def _before(run: Run) -> DataFrame | None:
    """`identities` as the complete runs left it; where there is no run, as it is: it may be all that is left of a lake
    that is built anew."""
    now = published(run.lake)
    run.built_on[schemas.IDENTITIES.name] = now.versions.get(schemas.IDENTITIES.name)
    if not now.runs and run.lake.exists(schemas.IDENTITIES.name):
        return run.lake.read(schemas.IDENTITIES.name)
    return now.read(schemas.IDENTITIES.name)


def _spellings(run: Run, before: DataFrame | None) -> DataFrame | None:
    """`identities` with the rows of a run that died: its events are there, and only those rows have their spellings."""
    name = schemas.IDENTITIES.name
    known = [] if before is None else [before]
    if run.lake.exists(name) and run.lake.version(name) != published(run.lake).versions.get(name):
        known.append(run.lake.read(name))
    return union(frame.select("id_type", "spellings") for frame in known) if known else None


def _known_by_events(run: Run, stored: DataFrame | None) -> DataFrame:
    """As `identities`, whom events were known as before there was an identity: so the section alone changes no key."""
    if stored is None:
        return local_frame(run.spark, [], schemas.IDENTITIES.types())
    nothing = F.lit(None)
    return (
        stored.groupBy(*OWNER)
        .agg(F.min("customer_key").alias("customer_key"))
        .select(
            "source",
            F.lit(OWN_ID).alias("id_type"),
            F.col("source_customer_id").alias("id_value"),
            "customer_key",
            nothing.cast("string").alias("first_seen_run_id"),
            nothing.cast("timestamp").alias("key_since"),
        )
    )


def _owners(arriving: DataFrame | None, existing: DataFrame | None, others: list[DataFrame]) -> DataFrame:
    """(source, source_customer_id, first_us, least_key, most_key): the keys that events of the lake have now."""
    instant, none = F.unix_micros("event_ts"), F.lit(None).cast("string")
    never = F.lit(None).cast("bigint")
    key = [F.col("customer_key").alias(name) for name in ("least_key", "most_key")]
    frames = [] if existing is None else [existing.select(*OWNER, instant.alias("first_us"), *key)]
    blank = [none.alias(name) for name in ("least_key", "most_key")]
    frames += [] if arriving is None else [arriving.select(*OWNER, instant.alias("first_us"), *blank)]
    frames += [frame.select(*OWNER, never.alias("first_us"), *blank) for frame in others]
    told = [F.min("first_us").alias("first_us"), F.min("least_key").alias("least_key")]
    told.append(F.max("most_key").alias("most_key"))
    return union(frame.groupBy(*OWNER).agg(*told) for frame in frames).groupBy(*OWNER).agg(*told)


def _spelled(
    run: Run,
    identity: Identity,
    arriving: DataFrame | None,
    existing: DataFrame | None,
    others: list[DataFrame],
    before: DataFrame | None,
) -> DataFrame:
    """Every id that a row of a source has, once."""
    of_rows = [*([] if arriving is None else [arriving]), *others]
    frames = [links.spelled(frame, _columns(identity)) for frame in of_rows]
    found = [frame for frame in frames if frame is not None]
    spellings = _spellings(run, before) if existing is not None else None
    if existing is not None and spellings is not None and schemas.ID_HASHES.name in existing.columns:
        found.append(links.stored(existing, spellings))
    none = local_frame(run.spark, [], [(name, "string") for name in (*OWNER, "id_type", "spelling")])
    return union(found or [none]).distinct()


def _values(run: Run, identity: Identity, spelled: DataFrame) -> DataFrame:
    wanted = spelled.filter(F.col("id_type").isin(list(identity.ids))).select("id_type", "spelling").distinct()
    _require(identity)
    wanted = run.keep(wanted)
    return normalise.with_blocked(normalise.normalised(wanted, identity.ids), identity.blocked, identity.ids)


def _require(identity: Identity) -> None:
    """Check that what normalises ids is installed. Raises: EnvironmentFault."""
    needed = ["pandas", "pyarrow"]
    needed += [_LIBRARY] if any(one.normalise == "phone" for one in identity.ids.values()) else []
    for name in needed:
        try:
            __import__(name)
        except ImportError:
            raise EnvironmentFault.not_installed(name, "the section identity", "identity") from None


def _numbered(rows: DataFrame, of: Sequence[str], number: str, checkpoint: Keep) -> tuple[DataFrame, int]:
    """The rows, distinct by `of`, with column `number`, and the first seed by which no two rows have the same one."""
    seed = 0
    while True:
        told = checkpoint(links.numbered(rows, of, number, seed))
        if not links.collide(told, number):
            return told, seed
        seed += 1


def _with_values(run: Run, linked: DataFrame, alike: DataFrame | None) -> tuple[DataFrame, DataFrame | None]:
    """The links and the pairs of a matcher with `value`, one number for each value of a type and each pair.

    So steps carry numbers alone, which is less, and none of them writes a person's id.
    """
    pairs = None if alike is None else alike.withColumn("id_type", F.lit(people.PROBABILISTIC))
    frames = [linked.filter(F.col("state") == links.GOOD), *([] if pairs is None else [pairs])]
    _, seed = _numbered(union(frame.select(*_VALUE) for frame in frames).distinct(), _VALUE, "value", run.reused)
    told = links.numbered(linked, _VALUE, "value", seed)
    return told, None if pairs is None else links.numbered(pairs, _VALUE, "value", seed)


def _step_checkpoint(run: Run) -> Keep:
    """What keeps the levels and rounds of `people`: on several machines a Delta table, written and read back."""
    if not engines.of(run.spark).caches or session.on_one_machine(run.spark):
        return run.checkpoint
    return through_the_lake(run.lake)


def through_the_lake(lake: Lake) -> Keep:
    """A checkpoint of frames of one or two whole numbers, in table `identity_rounds`: each is a version of it."""

    def checkpoint(frame: DataFrame) -> DataFrame:
        first, *others = frame.columns
        last = others[0] if others else first
        rows = frame.select(F.col(first).alias("a"), F.col(last).alias("b"))
        written = lake.replace(schemas.IDENTITY_ROUNDS, rows, anew=True).frame
        return written.select(*(F.col(end).alias(name) for end, name in zip("ab", frame.columns, strict=False)))

    return checkpoint


def _count(run: Run, named: DataFrame, changed: DataFrame, told: DataFrame) -> None:
    row = named.agg(F.count(F.lit(1)).alias("ids"), F.count_distinct("person").alias("people")).collect()[0]
    run.counts |= {"identity.ids": row["ids"], "identity.people": row["people"]}
    changes = {row["change"]: row["count"] for row in changed.groupBy("change").count().collect()}
    run.counts |= {"identity.merged": changes.get(keys.MERGE, 0), "identity.split": changes.get(keys.SPLIT, 0)}
    dropped = told.filter(F.col("outcome") != links.GOOD).select("id_type", "id_value", "outcome").distinct()
    for outcome, n in dropped.groupBy("outcome").count().collect():
        run.counts[f"identity.dropped.{outcome}"] = n
