"""rfm_spark's side on its second engine: the same work by the same code."""

from benchmark import ours

ours.ENGINE = "sail"
classic, whole, scan, start = ours.classic, ours.whole, ours.scan, ours.start
begun, snapshots, opened = ours.begun, ours.snapshots, ours.opened
