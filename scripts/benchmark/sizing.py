"""From measured runs to a cluster: cost that is linear in events and customers, and how many cores and how much memory.

What is measured are coefficients on one machine. That they hold at other sizes, and on many machines, is assumed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil

import numpy as np

# Spark's own numbers: memory of the engine itself, and the share of the rest for execution and cached frames
RESERVED_BYTES = 300 * 2**20
MEMORY_FRACTION = 0.6
CORES_AN_EXECUTOR = 4


@dataclass(frozen=True)
class Linear:
    """A cost of `fixed` + `an_event` · events + `a_customer` · customers; `worst` is its largest relative miss."""

    fixed: float
    an_event: float
    a_customer: float
    worst: float

    def at(self, events: float, customers: float) -> float:
        """The cost of so many."""
        return self.fixed + self.an_event * events + self.a_customer * customers


def linear(points: Sequence[tuple[float, float, float]]) -> Linear | None:
    """Of (events, customers, cost), the least squares of relative misses with no coefficient below nothing.

    None where events and customers do not vary apart from each other, so that nothing can be told of either.
    """
    if not points:
        return None
    events, customers, cost = (np.array(column, dtype=float) for column in zip(*points, strict=True))
    columns = np.stack([np.ones_like(events), events, customers], axis=1)
    relative = columns / cost[:, None]
    if np.linalg.matrix_rank(columns / np.abs(columns).max(axis=0), tol=1e-3) < 3:
        return None
    best, least = np.zeros(3), np.inf
    for size in (1, 2, 3):
        for used in map(list, combinations(range(3), size)):
            found = np.zeros(3)
            found[used] = np.linalg.lstsq(relative[:, used], np.ones(len(points)), rcond=None)[0]
            miss = float(((relative @ found - 1) ** 2).sum())
            if (found >= 0).all() and miss < least:
                best, least = found, miss
    fixed, an_event, a_customer = map(float, best)
    return Linear(fixed, an_event, a_customer, worst=float(np.abs(relative @ best - 1).max()))


@dataclass(frozen=True)
class Measures:
    """What a size is worked out from."""

    cpu_seconds: Linear  # above start-up
    shuffled_bytes: Linear
    cached_bytes: Linear
    busy: float  # the share of its cores that the largest run used
    largest_shuffle: float  # its share of all that is shuffled
    task_read_bytes: int  # the most that one task read, and held
    task_memory_bytes: int
    start_seconds: float


@dataclass(frozen=True)
class Cluster:
    """What so many events and customers need, to be done in time."""

    cpu_seconds: float
    cores: int
    executors: int
    shuffled_bytes: float
    partitions: int
    cached_bytes: float
    executor_bytes: float


def cluster(measures: Measures, events: float, customers: float, minutes: float) -> Cluster:
    """Cores from CPU seconds; partitions so that no task reads more than was measured; memory from what tasks hold.

    Raises: ValueError where the time is less than the engine's start.
    """
    seconds = 60 * minutes - measures.start_seconds
    if seconds <= 0:
        raise ValueError(f"found {minutes} minutes, expected more than the start of {measures.start_seconds:.0f} s")
    cpu = measures.cpu_seconds.at(events, customers)
    cores = ceil(cpu / (seconds * measures.busy))
    executors = ceil(cores / CORES_AN_EXECUTOR)
    shuffled, cached = measures.shuffled_bytes.at(events, customers), measures.cached_bytes.at(events, customers)
    partitions = ceil(shuffled * measures.largest_shuffle / max(measures.task_read_bytes, 1))
    held = measures.task_memory_bytes * CORES_AN_EXECUTOR + cached / executors
    return Cluster(
        cpu_seconds=cpu,
        cores=cores,
        executors=executors,
        shuffled_bytes=shuffled,
        partitions=max(partitions, cores),
        cached_bytes=cached,
        executor_bytes=RESERVED_BYTES + held / MEMORY_FRACTION,
    )
