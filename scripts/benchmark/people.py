"""Identity: what joining ids to people costs by the number of links, and how many rounds it takes.

As many random links between as many nodes, where eight in ten end in one component, and a chain of 10,000 beside them.
Each size runs in a process of its own; that it joined what belongs together is checked by scipy's components.
"""

import argparse
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from benchmark import report
from benchmark.measure import measured
from rfm_spark import session
from rfm_spark.pipelines.kept_frames import Kept
from rfm_spark.steps.identity.components import components

CHAIN = 10_000
_WARM_UP = 1_000


def run(asked: argparse.Namespace, folder: Path, say: Callable[[str], None]) -> None:
    """Every size that is asked for, and the exponent between each and the one before; one stored file."""
    found: dict[str, Any] = {"job": "identity", "engine": asked.engine, "chain": CHAIN}
    found |= report.surroundings(["scripts/bench", *sys.argv[1:]]) | {"load_before": os.getloadavg(), "sizes": []}
    asked.cache.mkdir(parents=True, exist_ok=True)
    for edges in sorted(asked.identity):
        out = asked.cache / f"identity-{edges}-{asked.engine}"
        shutil.rmtree(out, ignore_errors=True)
        one = measured(
            ["identity", asked.engine, str(edges), str(out)], out.with_suffix(".log"), asked.timeout, asked.memory
        )
        told = json.loads((out / "told.json").read_text()) if one.status == "done" else {}
        row = {"edges": edges, **one.as_dict(), **told}
        before = found["sizes"][-1] if found["sizes"] else None
        if before is not None and "seconds" in before and told:
            row["exponent"] = round(
                math.log(told["seconds"] / before["seconds"]) / math.log(edges / before["edges"]), 2
            )
        found["sizes"].append(row)
        say(f"identity, {edges:,} links: {row}")
        shutil.rmtree(out, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    found["load_after"] = os.getloadavg()
    (folder / f"identity-{asked.engine}.json").write_text(json.dumps(found, indent=1) + "\n")


def work(engine: str, edges: str, out: str) -> None:
    """One size, in its own process; what is timed begins after an engine that has joined a few links before."""
    spark, kept, size = session.build(engine=engine), Kept(), int(edges)
    components(kept.keep(_links(spark.range(_WARM_UP), _WARM_UP)), kept.checkpoint)
    links = kept.keep(_links(spark.range(size), size))
    links.count()
    began = time.monotonic()
    joined, rounds = components(links, kept.checkpoint)
    found = kept.keep(joined)
    people = found.agg(F.count_distinct("component")).collect()[0][0]
    seconds = round(time.monotonic() - began, 2)
    Path(out).mkdir(parents=True)
    told = {"seconds": seconds, "rounds": rounds, "components": people, "equal": _equal(links, found)}
    (Path(out) / "told.json").write_text(json.dumps(told))
    kept.release()


def _links(numbers: DataFrame, size: int) -> DataFrame:
    """Random links between `size` nodes, and a chain of nodes of their own in a mixed order."""
    mixed = [(F.col("id") * 7919 + n) % CHAIN + size for n in (0, 7919)]
    ends = [(F.xxhash64("id", F.lit(seed)) % size).alias(end) for seed, end in ((1, "a"), (2, "b"))]
    chain = numbers.filter(F.col("id") < CHAIN - 1).select(mixed[0].alias("a"), mixed[1].alias("b"))
    return numbers.select(*ends).unionAll(chain)


def _equal(links: DataFrame, found: DataFrame) -> bool:
    """Whether scipy joins the same nodes."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends, told = links.filter("a <> b").toArrow(), found.toArrow()
    nodes, at = np.unique(np.concatenate([ends["a"].to_numpy(), ends["b"].to_numpy()]), return_inverse=True)
    a, b = np.split(at, 2)
    _, labels = connected_components(
        coo_array((np.ones(len(a), "i1"), (a, b)), shape=(len(nodes),) * 2), directed=False
    )
    ours, place = told["component"].to_numpy(), np.searchsorted(nodes, told["node"].to_numpy())
    pairs = np.unique(np.stack([labels[place], ours]), axis=1)
    return len(ours) == len(nodes) and len(set(pairs[0])) == len(set(pairs[1])) == pairs.shape[1]
