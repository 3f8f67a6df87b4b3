"""Where a table of a database is, and who connects; a secret is looked up when it is used, and kept nowhere."""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rfm_spark.config.databases import Secret
from rfm_spark.config.words import without_secrets
from rfm_spark.errors import EnvironmentFault

_POSTGRESQL = re.compile(r"jdbc:postgresql:(?://(?P<hosts>[^/?]*)/)?(?P<database>[^?]*)(?:\?(?P<parameters>.*))?")


@dataclass(frozen=True)
class Database:
    """A table, or a query in parentheses with a name, of a database; `path` is its section in the project file.

    `user` and `password` say where these are found, so that the whole can be shown, pickled and logged.
    """

    url: str
    table: str
    path: str
    user: Secret | str | None = None
    password: Secret | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{' '.join(self.table.split())[:80]} at {without_secrets(self.url.split('?')[0])}"

    @property
    def kind(self) -> str:
        """What kind of database it is, such as postgresql."""
        return self.url.split(":")[1].lower()

    def credentials(self) -> dict[str, str]:
        """User and password, as options of a connection. Raises: EnvironmentFault where one is not found."""
        found = {
            "user": _value(self.user, f"{self.path}.user"),
            "password": _value(self.password, f"{self.path}.password"),
        }
        return {name: value for name, value in found.items() if value is not None}

    def quoted(self, name: str) -> str:
        """A column's name as this kind of database takes it, whatever characters are in it."""
        if self.kind in ("mysql", "mariadb"):
            return f"`{name.replace('`', '``')}`"
        return '"' + name.replace('"', '""') + '"'

    def connect(self) -> Any:
        """A connection of Python's own, in which statements share a transaction; PostgreSQL alone.

        Raises: EnvironmentFault where its driver is not installed; what the driver raises is for `translated`.
        """
        try:
            import psycopg
        except ImportError:
            raise EnvironmentFault.not_installed("psycopg", self.path, "jdbc") from None
        place = _POSTGRESQL.fullmatch(self.url)
        if place is None:
            raise EnvironmentFault(f"{self.path}.url: found jdbc:{self.kind}, expected jdbc:postgresql for this")
        own = dict(part.split("=", 1) for part in (place["parameters"] or "").split("&") if "=" in part)
        more: dict[str, Any] = {name: own[name] for name in ("sslmode", "sslrootcert") if name in own}
        if schema := own.get("currentSchema"):
            more["options"] = f"-c search_path={schema}"
        address = f"postgresql://{place['hosts'] or 'localhost'}/{place['database']}"
        return psycopg.connect(address, **({"connect_timeout": 10} | self.credentials() | more))


def _value(secret: Secret | str | None, path: str) -> str | None:
    if secret is None or isinstance(secret, str):
        return secret
    value = None
    if secret.env:
        value = os.environ.get(secret.env)
    else:
        with suppress(OSError, UnicodeDecodeError):
            value = Path(str(secret.file)).read_text(encoding="utf-8").rstrip("\r\n")
    if not value:
        missing = "is not set or empty; set it" if secret.env else "cannot be read or is empty; put it there"
        raise EnvironmentFault(f"{path}: {secret} {missing}, and run again")
    return value
