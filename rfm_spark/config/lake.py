"""Where the tables are, and how long what is in them is kept."""

from pydantic import Field, model_validator

from rfm_spark.config.base import Model, Text


class Lake(Model):
    """Where the tables are: a path, or a catalog and schema."""

    path: Text | None = None
    catalog: Text | None = None
    schema_: Text | None = Field(default=None, alias="schema")
    change_data_feed: bool = Field(
        default=False, description="whether the tables record their changes for readers of Delta's change data feed"
    )

    @model_validator(mode="after")
    def _one_of(self) -> "Lake":
        if (self.path is None) == (self.catalog is None) or (self.catalog is None) != (self.schema_ is None):
            raise ValueError("give path: a folder or URL; or catalog: and schema:")
        return self


class Keep(Model):
    """Which snapshots are kept: all of some days, then the last of each month, then the last of each year."""

    daily: int = Field(ge=1, examples=[90], description="days before as_of of which every snapshot is kept")
    monthly: int = Field(
        default=0, ge=0, description="calendar months before as_of's, of each of which the last snapshot is kept"
    )
    yearly: int | None = Field(
        default=None, ge=0, description="years before as_of's, of each of which the last is kept; default all years"
    )


RETENTION_FLOOR_HOURS = 168


class Maintenance(Model):
    """What `maintain` removes."""

    retention_hours: int = Field(
        default=RETENTION_FLOOR_HOURS, ge=0, description="how long files that no current version needs stay readable"
    )
    allow_short_retention: bool = Field(
        default=False, description="less than 168 hours: what reads an older version may find its files gone"
    )
    keep: Keep | None = Field(default=None, description="snapshots that are kept; default all")

    @model_validator(mode="after")
    def _long_enough(self) -> "Maintenance":
        if self.retention_hours < RETENTION_FLOOR_HOURS and not self.allow_short_retention:
            raise ValueError(
                f"retention_hours of at least {RETENTION_FLOOR_HOURS}, so that runs and readers that have begun find "
                "their files; or allow_short_retention: true beside it"
            )
        return self
