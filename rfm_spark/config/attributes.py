"""Which attributes of customers a project makes use of."""

from rfm_spark.config import expressions
from rfm_spark.config.models import ProjectConfig


def used_attributes(config: ProjectConfig) -> list[str]:
    """Attributes of profiles that criteria, rules or groups use, in the config's order; a snapshot carries its own."""
    known = dict.fromkeys(name for source in config.sources for name in source.attributes)
    texts = [c.sql for c in config.criteria.values() if c.sql]
    texts += [s.when for segmentation in config.segmentations for s in segmentation.segments if s.when]
    used = {name for text in texts for name in expressions.names(text)}
    used |= {c.metric for c in config.criteria.values() if c.metric}
    for segmentation in config.segmentations:
        groups = [segmentation.scoring.of(name).group_by for name in config.criteria_of(segmentation)]
        used |= {group for group in groups if group}
    return [name for name in known if name in used]
