"""Exports: the treated people of an audience, as each destination wants them; whole or not at all, and never twice.

Files are written aside into a folder named by their content, format and options, which is renamed when it is whole; the
manifest beside it is replaced last and says which folder holds. So whoever reads by the manifest sees one export whole,
a run that dies leaves the one before, and a run that makes the same again writes nothing. A Delta table is one commit.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark import engines
from rfm_spark.config.campaigns import Campaign, Export
from rfm_spark.config.words import listed
from rfm_spark.databases import Database, replace_rows
from rfm_spark.errors import EnvironmentFault, InputError
from rfm_spark.lake import cause, damaged
from rfm_spark.paths import is_elsewhere, without_scheme
from rfm_spark.pipelines.published import Published
from rfm_spark.pipelines.run_record import Run
from rfm_spark.sources.columns import doubling_quotes, spelt
from rfm_spark.steps import audiences

MANIFEST = "manifest.json"
# a blank stays a blank
_CSV = {"header": "true", "emptyValue": "", "ignoreLeadingWhiteSpace": "false", "ignoreTrailingWhiteSpace": "false"}


def export(run: Run, earlier: Published, audience: DataFrame, campaigns: list[Campaign]) -> None:
    """Write the audience of each campaign to its destinations.

    Records: export.<campaign>.<position>, the rows written there.
    Raises: EnvironmentFault where a place cannot be written; InputError where its writer refuses an option.
    """
    wanted = [(campaign, i, one) for campaign in campaigns for i, one in enumerate(campaign.export)]
    if not wanted:
        return
    before = earlier.read("audiences")
    with run.stage("export") as stage:
        for campaign, i, one in wanted:
            mine = audience.filter(F.col("campaign") == F.lit(campaign.name))
            if one.format == "jdbc":
                where = f"campaigns.{campaign.name}.export[{i}]"
                run.counts[f"export.{campaign.name}.{i}"] = _into_database(campaign, one, mine, where)
                continue
            if one.differences:
                known = before if before is not None and _has_received(campaign, one) else None
                then = None if known is None else known.filter(F.col("campaign") == F.lit(campaign.name))
                rows = audiences.differences(mine, then, one.columns)
            else:
                rows = audiences.exported(mine, one.columns)
            run.counts[f"export.{campaign.name}.{i}"] = _write(run, campaign, one, rows)
        stage.rows = sum(n for name, n in run.counts.items() if name.startswith("export."))


def _into_database(campaign: Campaign, one: Export, audience: DataFrame, path: str) -> int:
    """Replace the campaign's rows of a table in one transaction; the rows of other campaigns stay."""
    columns = one.columns or {name: name for name in ("campaign", *audiences.SENT)}
    ours = {name: theirs for theirs, name in columns.items()}
    named = ours.get("campaign", "campaign")
    rows = audiences.exported(audience, {**columns, named: "campaign"}, as_text=False)
    database = Database(str(one.url), str(one.table), path, one.user, one.password, spelt(one.options))
    return replace_rows(rows, database, [named, ours["customer_key"]], {named: campaign.name})


def _has_received(campaign: Campaign, one: Export) -> bool:
    """Whether a destination has an export of the campaign, without which everybody is new to it.

    A Delta table elsewhere has no manifest, and is taken to have what was published before.
    """
    remote = one.format == "delta" and is_elsewhere(str(one.path))
    return remote or _manifest_at(_manifest(one)).get("campaign") == campaign.name


def _folder(one: Export) -> Path:
    return Path(without_scheme(str(one.path)))


def _manifest(one: Export) -> Path:
    """Where the manifest of a destination is: within a folder of files, beside a Delta table."""
    folder = _folder(one)
    return folder.with_name(f"{folder.name}.{MANIFEST}") if one.format == "delta" else folder / MANIFEST


def _write(run: Run, campaign: Campaign, one: Export, rows: DataFrame) -> int:
    assert one.path is not None
    kept, options = run.keep(rows), spelt(one.options)
    n, content = kept.agg(F.count(F.lit(1)), audiences.fingerprint(kept)).collect()[0]
    how = [one.format, *(f"{name}={value}" for name, value in sorted(options.items()))]
    told = "\x1f".join([*how, ",".join(kept.columns), str(n), str(content)])
    manifest = {
        "campaign": campaign.name,
        "format": one.format,
        "rows": n,
        "content": hashlib.sha256(told.encode()).hexdigest(),
        "columns": kept.columns,
        "differences": one.differences,
        "as_of": run.as_of.isoformat(),
        "run_id": run.run_id,
    }
    if one.differences and not n:
        return 0  # nothing new to send: what was sent last stays
    try:
        if one.format == "delta":
            beside = _manifest(one)
            if _manifest_at(beside).get("content") == manifest["content"] and (_folder(one) / "_delta_log").is_dir():
                return int(n)
            kept.write.format("delta").mode("overwrite").option("overwriteSchema", "true").save(one.path)
            if not is_elsewhere(one.path):
                _put_manifest(beside, manifest)
        else:
            _write_files(kept, one, _folder(one), manifest)
    except OSError as error:
        raise EnvironmentFault(f"campaign {campaign.name}: {one.path} cannot be written: {error.strerror}") from None
    except PySparkException as error:  # the rows are there, so it is the writer's
        if not options or cause(error, str(one.path)) or damaged(error):
            raise
        raise InputError(
            f"campaign {campaign.name}: {one.path} cannot be written with the options {listed(options)}, expected such "
            f"as the {one.format} writer of {engines.of(run.spark)} takes"
        ) from None
    return int(n)


def _write_files(rows: DataFrame, one: Export, folder: Path, manifest: dict[str, Any]) -> None:
    data = folder / manifest["content"][:16]
    folder.mkdir(parents=True, exist_ok=True)
    if _holds(folder, manifest):
        return
    aside = folder / f".{manifest['content'][:16]}"
    for left in (aside, data):
        shutil.rmtree(left, ignore_errors=True)
    options = spelt(one.options)
    if one.format == "csv":
        options = {**_CSV, **doubling_quotes(options)}
    rows.coalesce(1).write.format(one.format).options(**options).save(str(aside))
    aside.mkdir(exist_ok=True)  # of no rows an engine may write nothing
    files = sorted(file for file in aside.iterdir() if file.is_file() and file.name[0] not in "._")
    data.mkdir()
    named = []
    for i, file in enumerate(files):
        packed = file.suffix.removesuffix(f".{one.format}")  # such as .gz, by which readers know
        name = f"audience{f'-{i}' if len(files) > 1 else ''}.{one.format}{packed}"
        os.replace(file, data / name)
        named.append({"name": f"{data.name}/{name}", "sha256": _sha256(data / name)})
    shutil.rmtree(aside)
    _put_manifest(folder / MANIFEST, {**manifest, "files": named})
    for other in folder.iterdir():  # what an earlier export, or one that died, has left
        if other.is_dir() and other != data and len(other.name.lstrip(".")) == 16:
            shutil.rmtree(other, ignore_errors=True)


def _manifest_at(place: Path) -> dict[str, Any]:
    """The manifest in a place; empty where there is none that can be read."""
    try:
        return dict(json.loads(place.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _holds(folder: Path, manifest: Mapping[str, Any]) -> bool:
    """Whether the manifest there is of the same content, and its files are as it says."""
    there = _manifest_at(folder / MANIFEST)
    try:
        return there["content"] == manifest["content"] and all(
            _sha256(folder / file["name"]) == file["sha256"] for file in there["files"]
        )
    except (OSError, KeyError):
        return False


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _put_manifest(path: Path, manifest: Mapping[str, Any]) -> None:
    aside = path.with_name(f".{path.name}.new")
    aside.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(aside, path)
