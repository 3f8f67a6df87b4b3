"""`python -m benchmark`: what `scripts/bench` runs, or in a process of its own the work of one side."""

import sys
from importlib import import_module

# what `measured` starts: a side, a point of a growth, one more day, a side of `predict`, a size of `identity`, the
# job on a cluster; only what it needs is imported, or a peer would pay for the packages of all others
_WORK = {"one": "sides.one", "point": "growth.work", "day": "one_more_day.work"}
_WORK |= {"predict": "prediction.work", "identity": "people.work", "cluster": "cluster.work"}


def _main() -> None:
    asked = sys.argv[1:2] and _WORK.get(sys.argv[1])
    module, name = (asked or "command.main").split(".")
    getattr(import_module(f"benchmark.{module}"), name)(*(sys.argv[2:] if asked else ()))


if __name__ == "__main__":
    _main()
