"""The counts of a run that later runs look up in its row of `runs`; all others are for people.

A name that ends in a dot stands before what it is of.
"""

EVENTS_SEEN = "events.version"  # the version of `events` that the metrics of a snapshot are made of
LATE = "customer_metrics.late"  # customers with an event, dated before the earlier snapshot, that it had not seen
POPULATION = "customer_segments.population."  # a segmentation: the customers of a snapshot
DEPARTED = "segment_migrations.departed"  # customers of the snapshot before who are not in this one
DROPPED = "dropped."  # a date: the version of MARK's table up to which `maintain` has dropped its snapshot
MARK = "customer_segments"
DRAWN = "drawn."  # a campaign: that `target` drew its audience, which may be of nobody
LOOK = "look."  # a campaign: that `measure` looked at it before its window was over


def unassigned_in(segmentation: str) -> str:
    """The customers of a snapshot whom no rule of a segmentation took."""
    return f"customer_segments.{segmentation}.unassigned"
