"""What is wrong with a source or an export in a database although its shape is right; no secret is ever quoted."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from rfm_spark.config.source import Source
from rfm_spark.config.words import Finding, without_secrets

OWN_KEYS = ("url", "user", "password", "partition", "watermark")
_BY_KEY = {
    "url": "url",
    "user": "user",
    "password": "password",
    "dbtable": "table",
    "query": "table: (select …) as a_name",
    "partitioncolumn": "partition",
    "lowerbound": "partition.lower",
    "upperbound": "partition.upper",
    "numpartitions": "partition.number",
}
_SECRET_OPTION = re.compile(r"pass|pwd|token|secret|credential", re.IGNORECASE)
# //user:password@host, ?password=, and Oracle's thin:user/password@host
_SECRET_IN_URL = re.compile(
    r"//[^/?#]*@|(?<=[?&;])[^=?&;]*(?:pass|pwd|token|secret|user)[^=?&;]*=|:[^/:@?]+/[^@?]*@", re.IGNORECASE
)
_QUERY = re.compile(r"\(.*\)\s*(?:as\s+)?[\w\"`]+", re.IGNORECASE | re.DOTALL)
_EXAMPLE = "jdbc:postgresql://host:5432/database"


def database_findings(source: Source, path: str) -> Iterator[Finding]:
    """Path and message of every fault of how a source is reached in a database, or of keys that are only for one."""
    if source.format != "jdbc":
        for key in OWN_KEYS:
            if getattr(source, key) is not None:
                yield f"{path}.{key}", f"found {key} with format: {source.format}, expected it with format: jdbc only"
        return
    if source.url is not None:
        yield from url_findings(source.url, f"{path}.url")
    yield from option_findings(source.options, f"{path}.options")
    if source.table is not None:
        yield from _table(source.table, f"{path}.table")
    if source.watermark is not None and source.kind != "events":
        yield f"{path}.watermark", f"found watermark with kind: {source.kind}, which is read whole, expected none"
    elif source.watermark is not None and source.event_id_columns is None:
        yield (
            f"{path}.watermark",
            "found watermark without event_id, expected event_id: the columns that tell a row again, since rows are "
            "read again",
        )


def url_findings(url: str, path: str) -> Iterator[Finding]:
    """Path and message where a URL is no JDBC one, or carries who connects."""
    if not url.lower().startswith("jdbc:"):
        yield path, f"found '{without_secrets(url)[:60]}', expected a JDBC URL such as {_EXAMPLE}"
    if _SECRET_IN_URL.search(url):
        yield (
            path,
            "found a user or password in it, expected them beside it, as user: {env: NAME} and password: {env: NAME}, "
            "or {file: PATH}",
        )


def option_findings(options: Mapping[str, Any], path: str) -> Iterator[Finding]:
    """Path and message of the options that have a key of their own, and of those that are a secret."""
    for name in options:
        key = _BY_KEY.get(name.lower())
        if key is not None:
            yield f"{path}.{name}", f"found {name} among the options, expected {key} beside them"
        elif _SECRET_OPTION.search(name):
            yield f"{path}.{name}", "found a secret, expected none: a secret has no place in a project file"


def _table(table: str, path: str) -> Iterator[Finding]:
    text = table.strip()
    if ";" in text:
        yield path, "found `;`, expected the name of a table, or one query as (select …) as a_name"
    elif re.match(r"(select|with)\s", text, re.IGNORECASE):
        yield path, "found a query, expected it in parentheses with a name: (select …) as a_name"
    elif text.startswith("(") and not _QUERY.fullmatch(text):
        yield path, "found a query without a name, expected (select …) as a_name"
