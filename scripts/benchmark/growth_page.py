"""The pages of growth: a table a dimension, what the engine moved, and how a cluster is sized from it."""

from pathlib import Path
from typing import Any

from benchmark import growth, sizing
from benchmark.growth import DIMENSIONS, ENGINES, LIMIT

FLAT = 0.1  # an exponent of memory up to this is called flat
EXAMPLE = (2e9, 1e8, 30.0)  # events, customers, minutes
_CLASSIC = ("events", "events-a-customer", "customers")
_MB = 1e6

_INTRODUCTION = f"""How the cost of rfm_spark grows with one thing while all else stays the same. Each row is a run in a
process of its own (the median, where there are several). The exponent is the slope of log CPU seconds on log size, by
least squares: 1 is in proportion, and the limit is {LIMIT}. It is fitted to the CPU seconds above start-up, because a
fixed cost hides growth: those of the run, less those of the classic job on {growth.START_EVENTS:,} events where events
or customers grow, and less those of a session that starts and does nothing where sources, segmentations or snapshots
do. A size that costs less than {growth.NOISE:.0%} of start-up above it is not fitted: that may be noise. The exponent
of all CPU seconds, and that above start-up between the two largest sizes, are told with it.
"""

_ABOUT = {
    "events": "The classic job, from clean events to a table of segments, at ten events a customer.",
    "events-a-customer": "The classic job, for about {fixed} million customers, with more events each.",
    "customers": "The classic job, on about {fixed} million events of fewer or more customers.",
    "sources": "The whole job, on about {fixed} million raw rows, dealt to so many sources of one size.",
    "segmentations": "The whole job, on about {fixed} million raw rows, with so many segmentations, each with "
    "cut-points of its own.",
    "snapshots": "Segmenting alone, of about {fixed} million events and a first snapshot in the lake: so many days, "
    "one after the other in one process.",
}
_ONE = {"sources": "source", "segmentations": "segmentation", "snapshots": "snapshot"}


def write(folder: Path) -> None:
    """The page of every engine that has results."""
    for engine in ENGINES:
        if growth.results(folder, engine):
            growth.page_of(folder, engine).write_text(page(folder, engine), encoding="utf-8")


def page(folder: Path, engine: str = "spark") -> str:
    """All stored results of an engine as Markdown."""
    found = growth.results(folder, engine)
    parts = ["<!-- written by scripts/bench --growth -->\n# How cost grows", _INTRODUCTION]
    for result in found:
        parts.append(_dimension(result))
    if any(point.get("event_log") for result in found for point in growth.done(result)):
        parts += [_moved(found), _sizing(found)]
    return "\n".join(parts)


# --- a dimension -----------------------------------------------------------------------------------------------------


def _dimension(result: dict[str, Any]) -> str:
    name, start = result["dimension"], result["start"]["cpu_seconds"]
    one = _ONE.get(name)
    about = _ABOUT[name].format(fixed=f"{result['fixed'] / 1e6:,.4g}")
    if (heap := DIMENSIONS[name].heap) and result["engine"] == "spark":
        about += f" The heap is held at {heap.replace('g', ' GB')}: a size that needs more memory fails."
    heads = ["wall s", "CPU s", "CPU s above start-up", "peak GB"]
    lines = [f"## {DIMENSIONS[name].title}\n", f"{about}\n", _head([one] if one else [], heads)]
    for point in sorted(result["points"], key=lambda p: p["size"]):
        lines.append(_row(point, start, counted=bool(one), fitted=growth.told_apart(result, point)))
    lines += ["", *_verdicts(result), "", _surroundings(result), ""]
    return "\n".join(lines)


def _head(first: list[str], last: list[str]) -> str:
    names = [f"{name}s" for name in first] + [
        f"million {'raw rows' if first else 'events'}",
        "million customers",
        *last,
    ]
    return f"| {' | '.join(names)} |\n|{'---|' * len(names)}"


def _row(point: dict[str, Any], start: float, *, counted: bool, fitted: bool) -> str:
    cells = [str(point["size"])] if counted else []
    cells += [_millions(point["rows"]), _millions(point["customers"]) if "customers" in point else "–"]
    if point["status"] == "done":
        cpu, peak = point["cpu_seconds"], point["peak_mb"] / 1024
        above = f"{cpu - start:,.1f}" if fitted else f"{cpu - start:,.1f} (not fitted)"
        cells += [f"{point['wall_seconds']:,.1f}", f"{cpu:,.1f}", above, f"{peak:.1f}"]
    else:
        cells += [f"{point['status']} after {point['wall_seconds']:,.0f}", "–", "–", "–"]
    return f"| {' | '.join(cells)} |"


def _verdicts(result: dict[str, Any]) -> list[str]:
    name, found, points = result["dimension"], growth.exponents(result), growth.done(result)
    said = ["Too few sizes cost enough for an exponent above start-up"]
    if found.above_start is not None:
        met = "met" if round(found.above_start, 2) <= LIMIT else "NOT met"
        said = [f"Exponent **{found.above_start:.2f}** above start-up (limit {LIMIT}: {met})"]
    said += [f"{found.whole:.2f} of all CPU seconds"] if found.whole is not None else []
    said += [f"{found.last_step:.2f} between the two largest"] if found.last_step is not None else []
    lines = ["; ".join(said) + f". Start-up: {result['start']['cpu_seconds']:.1f} s of CPU."]
    if name == "events-a-customer":
        lines.append(_memory(found.memory, points))
    if name in _ONE:
        more = points[-1]["cpu_seconds"] - points[0]["cpu_seconds"]
        each = more / (points[-1]["size"] - points[0]["size"])
        lines.append(f"Each further {_ONE[name]} takes {each:.1f} s of CPU.")
    if name == "snapshots":
        seconds = points[-1]["each_seconds"]
        lines.append(f"Wall seconds of each of the {len(seconds)}, in order: {', '.join(f'{s:.1f}' for s in seconds)}.")
    return lines


def _memory(slope: float | None, points: list[dict[str, Any]]) -> str:
    if slope is None:
        return "Memory was not measured."
    called = "flat" if slope <= FLAT else "NOT flat"
    first, last = points[0], points[-1]
    told = f"Peak memory has the exponent {slope:.2f}, from {_gb(first)} to {_gb(last)}: {called} in events."
    if first.get("event_log") and last.get("event_log"):
        held = [point["event_log"]["task_memory_bytes"] / _MB for point in (first, last)]
        spilled = last["event_log"]["spilled_bytes"] / _MB
        told += f" The most that one task held went from {held[0]:,.0f} to {held[1]:,.0f} MB;"
        told += f" the largest size spilled {spilled:,.0f} MB to disk."
    return told


def _gb(point: dict[str, Any]) -> str:
    return f"{point['peak_mb'] / 1024:.1f} GB"


def _surroundings(result: dict[str, Any]) -> str:
    machine, versions, points = result["machine"], result["versions"], result["points"]
    commands = dict.fromkeys(" ".join(point["command"]) for point in points)
    loads = [point["load_before"][0] for point in points]
    commits = ", ".join(dict.fromkeys(point["commit"] for point in points))
    runs = max(len(point["runs"]) for point in points)
    where = f"{machine['cores']} cores ({machine['processor']}), {machine['memory_gb']} GB"
    when = points[-1]["when"][:10] + (commits and f" at {commits}")
    return (
        f"Measured {when} on {where}, pyspark {versions['pyspark']}; {runs} run{'s' if runs > 1 else ''} a size; "
        f"load before {min(loads):.1f} to {max(loads):.1f}; {', '.join(f'`{command}`' for command in commands)}."
    )


# --- what was moved --------------------------------------------------------------------------------------------------

_MOVED = """## What the engine moved

From the engine's event log. Shuffled is what was written to shuffles, after compression. A stage that the engine skips
because its output is still there is not counted. The longest task, and the most that any task read or held, need not be
of one task.

| run | stages | tasks | shuffles | MB shuffled | bytes an event | bytes a customer | MB spilled | MB cached | \
longest task s | MB read by a task | MB held by a task |
|---|---|---|---|---|---|---|---|---|---|---|---|"""


def _moved(results: list[dict[str, Any]]) -> str:
    lines = [_MOVED]
    for result in results:
        for point in growth.done(result):
            if log := point.get("event_log"):
                lines.append(_moved_row(result["dimension"], point, log))
    return "\n".join(lines) + "\n"


def _moved_row(name: str, point: dict[str, Any], log: dict[str, Any]) -> str:
    shuffled = log["shuffle_written_bytes"]
    size = f"{point['size']}" if name in _ONE else f"{_millions(growth.grown(name, point))} million"
    cells = [f"{name.replace('-', ' ')}, {size}", f"{log['stages']:,}", f"{log['tasks']:,}", f"{log['shuffles']:,}"]
    cells += [f"{shuffled / _MB:,.1f}", f"{shuffled / point['rows']:,.1f}", f"{shuffled / point['customers']:,.0f}"]
    cells += [f"{log[key] / _MB:,.0f}" for key in ("spilled_bytes", "cached_bytes")]
    cells += [f"{log['longest_task']['seconds']:,.1f}", f"{log['task_shuffle_read_bytes'] / _MB:,.1f}"]
    return f"| {' | '.join([*cells, f'''{log['task_memory_bytes'] / _MB:,.0f}'''])} |"


# --- a cluster -------------------------------------------------------------------------------------------------------


def measures(results: list[dict[str, Any]]) -> sizing.Measures | None:
    """What a cluster is sized by, from all sizes of the classic job; None where events and customers do not vary."""
    mine = [result for result in results if result["dimension"] in _CLASSIC]
    points = [(p, r["start"]) for r in mine for p in growth.done(r) if p.get("event_log")]
    cpu = sizing.linear(
        [
            (p["rows"], p["customers"], p["cpu_seconds"] - r["start"]["cpu_seconds"])
            for r in mine
            for p in growth.done(r)
            if growth.told_apart(r, p)
        ]
    )
    shuffled, cached = (_linear_bytes(points, key) for key in ("shuffle_written_bytes", "cached_bytes"))
    if cpu is None or shuffled is None:
        return None
    largest, start = max(points, key=lambda one: one[0]["cpu_seconds"])
    log, cores = largest["event_log"], mine[0]["machine"]["cores"]
    return sizing.Measures(
        cpu_seconds=cpu,
        shuffled_bytes=shuffled,
        cached_bytes=cached or sizing.Linear(0, 0, 0, 0),
        busy=min(largest["cpu_seconds"] / (cores * largest["wall_seconds"]), 1.0),
        largest_shuffle=log["largest_shuffle_bytes"] / max(log["shuffle_written_bytes"], 1),
        task_read_bytes=log["task_shuffle_read_bytes"],
        task_memory_bytes=log["task_memory_bytes"],
        start_seconds=start["wall_seconds"],
    )


def _linear_bytes(points: list[tuple[dict[str, Any], dict[str, Any]]], key: str) -> sizing.Linear | None:
    found = [(p["rows"], p["customers"], p["event_log"][key]) for p, _ in points if p["event_log"][key]]
    return sizing.linear(found)


def _sizing(results: list[dict[str, Any]]) -> str:
    title, found = "## Sizing a cluster\n\n", measures(results)
    if found is None:
        missing = ", ".join(_CLASSIC)
        return f"{title}Needs results of the dimensions {missing}: events and customers have to vary apart.\n"
    events, customers, minutes = EXAMPLE
    need = sizing.cluster(found, events, customers, minutes)
    cpu, moved, kept = found.cpu_seconds, found.shuffled_bytes, found.cached_bytes
    return f"""{title}For the classic job, of N million events and M million customers in T minutes. The
coefficients are least squares over all its sizes above; they miss by at most {cpu.worst:.0%} (CPU) and
{moved.worst:.0%} (bytes).

- CPU seconds above start-up = {cpu.fixed:,.0f} + {cpu.an_event * 1e6:,.2f} · N + {cpu.a_customer * 1e6:,.2f} · M
- bytes shuffled = {moved.fixed / _MB:,.1f} MB + {moved.an_event:,.1f} MB · N + {moved.a_customer:,.1f} MB · M, so \
{moved.an_event:,.1f} bytes an event and {moved.a_customer:,.1f} a customer
- bytes cached = {kept.fixed / _MB:,.1f} MB + {kept.an_event:,.1f} MB · N + {kept.a_customer:,.1f} MB · M
- cores = CPU seconds ÷ ((60 · T − {found.start_seconds:,.0f}) · {found.busy:.2f}); {found.busy:.2f} is the share
  of its cores that the largest run kept busy, and {found.start_seconds:,.0f} s is the start
- shuffle partitions = {found.largest_shuffle:.2f} · bytes shuffled ÷ {found.task_read_bytes / _MB:,.1f} MB, and at
  least one a core: the largest shuffle, in tasks no larger than the largest that was measured, which held
  {found.task_memory_bytes / _MB:,.0f} MB
- memory of an executor of {sizing.CORES_AN_EXECUTOR} cores = 0.3 GB + ({sizing.CORES_AN_EXECUTOR} · \
{found.task_memory_bytes / _MB:,.0f} MB + bytes cached ÷ executors) ÷ {sizing.MEMORY_FRACTION}
- disk for shuffles, over all executors = bytes shuffled

For example {events / 1e6:,.0f} million events of {customers / 1e6:,.0f} million customers in {minutes:.0f} minutes:
{need.cpu_seconds:,.0f} CPU seconds, so {need.cores:,} cores, as {need.executors:,} × {sizing.CORES_AN_EXECUTOR} with \
{need.executor_bytes / 1e9:,.1f} GB each; {need.shuffled_bytes / 1e9:,.1f} GB shuffled in {need.partitions:,} \
partitions; {need.cached_bytes / 1e9:,.1f} GB cached.

Measured: the coefficients, the busy share and the tasks, on the one machine named above, whose shuffles cross no
network. Extrapolated: that cost stays linear beyond the largest size, that cores of a cluster are as fast and as busy,
that its network and its storage keep up, and that partitions stay as even as they were. Take a half more, and measure.
"""


def _millions(number: float) -> str:
    return f"{number / 1e6:,.3g}" if number < 1e9 else f"{number / 1e6:,.0f}"
