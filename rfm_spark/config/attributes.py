"""Which columns of customers a project makes use of: metrics, attributes of profiles, predictions."""

from rfm_spark.config import expressions, known
from rfm_spark.config.models import ProjectConfig


def used_names(config: ProjectConfig) -> set[str]:
    """The names that criteria, rules and groups use, whatever they are of."""
    texts = [criterion.sql for criterion in config.criteria.values() if criterion.sql]
    texts += [s.when for segmentation in config.segmentations for s in segmentation.segments if s.when]
    used = {name for text in texts for name in expressions.names(text)}
    used |= {criterion.metric for criterion in config.criteria.values() if criterion.metric}
    for segmentation in config.segmentations:
        groups = [segmentation.scoring.of(name).group_by for name in config.criteria_of(segmentation)]
        used |= {group for group in groups if group}
    return used


def used_attributes(config: ProjectConfig) -> list[str]:
    """Attributes of profiles that it uses, in the config's order; a snapshot carries its own."""
    used, declared = used_names(config), dict.fromkeys(name for source in config.sources for name in source.attributes)
    return [name for name in declared if name in used]


def used_predictions(config: ProjectConfig) -> list[str]:
    """Columns of `predictions` that it uses; a snapshot carries those of the newest at or before it."""
    used = used_names(config)
    return [name for name in known.predicted(config) if name in used]
