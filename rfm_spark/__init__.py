"""rfm_spark: customer segmentation on Spark and Delta that is acted on and can be trusted."""

from typing import TYPE_CHECKING, Any

__version__ = "0.4.0"
__all__ = ["Project", "__version__"]

if TYPE_CHECKING:
    from rfm_spark.project import Project


def __getattr__(name: str) -> Any:
    """Load `Project`, and with it pyspark, only when it is asked for: `rfm-spark check` needs neither."""
    if name == "Project":
        from rfm_spark.project import Project

        return Project
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
