"""Every way a job can end, one class a cause, each with the exit code and the word that `runs.status` records.

A message says what was found, what was expected, where, and what to do next, and never carries a customer's value.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a config: where it stands and what to do about it."""

    path: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        where = f"{self.path} (line {self.line})" if self.line else self.path
        return f"{where}: {self.message}"


class RfmSparkError(Exception):
    """Base of all errors that rfm_spark raises on purpose; itself only for what should never happen."""

    exit_code = 1
    status = "failed"


class ConfigError(RfmSparkError):
    """The project file or an argument is wrong; carries all faults found, not only the first."""

    exit_code = 2
    status = "invalid"

    def __init__(self, faults: Sequence[Fault] | str, source: str = "") -> None:
        self.faults = [Fault("arguments", faults)] if isinstance(faults, str) else list(faults)
        lines = [faults] if isinstance(faults, str) else [f"  {fault}" for fault in self.faults]
        head = f"{source}: {len(lines)} fault{'s' if len(lines) != 1 else ''}\n" if source else ""
        super().__init__(head + "\n".join(lines))


class InputError(RfmSparkError):
    """A source file, table or column that the config names is missing or unreadable."""

    exit_code = 2
    status = "invalid"


class GateError(RfmSparkError):
    """The data failed a gate; nothing was published."""

    exit_code = 3
    status = "gate_failed"


class ConflictError(RfmSparkError):
    """Another writer won the same slice; run again."""

    exit_code = 4
    status = "conflict"


class EnvironmentFault(RfmSparkError):
    """Storage, Java, memory or another part of the environment failed; mend it and run again."""

    exit_code = 5
    status = "environment"

    @classmethod
    def not_installed(cls, package: str, whom: str, extra: str) -> "EnvironmentFault":
        """A package of one of the extras is missing; `whom` needs it."""
        return cls(f"the package {package} is not installed, which {whom} needs: pip install 'rfm-spark[{extra}]'")


class SchemaMismatch(RfmSparkError):
    """A frame does not fit the declared schema of its table; all differences are listed."""
