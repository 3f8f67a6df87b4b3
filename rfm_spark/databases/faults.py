"""What a database or its driver raises, as the cause that a user can act on; never with a value of a row."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from rfm_spark.config.words import without_secrets
from rfm_spark.databases.connection import Database
from rfm_spark.errors import ConfigError, EnvironmentFault, Fault, InputError, RfmSparkError

# the first that is found in what was raised, the key that it is about, and what to do
_UNREACHABLE = (
    r"[Cc]onnection (?:\S+ )*refused|UnknownHost|could not translate host|failed to resolve|Name or service not known"
    r"|connection attempt failed|[Tt]imed? ?out|timeout expired|No route to host|[Nn]etwork is unreachable"
    r"|Communications link failure|error connecting to server"
)
_BROKEN = (
    r"I/O error occurred while sending|terminating connection|server closed the connection|Connection reset"
    r"|connection is (?:closed|lost)|connection has been closed|consuming input failed|the database system is"
)
_REFUSED = (
    r"authentication failed|no password was provided|no password supplied|password-based authentication"
    r"|no pg_hba\.conf entry|role \S+ does not exist|Access denied for user|Login failed"
)
_NO_DATABASE = r"database \"[^\"]*\" does not exist|Unknown database"
_NO_TABLE = (
    r"(?:relation|schema|table) \"[^\"]*\" does not exist|Table \S+ doesn.t exist|Invalid object name"
    r"|[Tt]able or view does not exist|cross-database references"
)
_NO_DRIVER = r"ClassNotFoundException|No suitable driver|connectorX is required"
_BAD_QUERY = r"syntax error|column \S+ does not exist|function \S+ does not exist|column reference \S+ is ambiguous"
_WRONG_TYPE = r"column \S+ is of type .* but expression is of type"
_OF_DATABASES = r"PSQLException|psycopg|JDBC|jdbc|SQLException|FAILED_JDBC"
_TOLD = re.compile(r"(?:ERROR|FATAL): +([^\n]*)")


@contextmanager
def translated(database: Database) -> Iterator[None]:
    """Turn what a database raises into the cause that a user can act on; what is not of it stays what it is."""
    try:
        yield
    except RfmSparkError:
        raise
    except Exception as error:  # of Py4J, gRPC, psycopg: they share no class
        fault = cause(error, database, asked=True)
        if fault is None:
            raise
        raise fault from None


def cause(error: Exception, database: Database, *, asked: bool = False) -> RfmSparkError | None:
    """The cause behind an exception, or None where it is not one of this database's.

    `asked`: it was raised while the database was asked; otherwise in some job that also reads from it.
    """
    text = _text(error)
    if not asked and not re.search(_OF_DATABASES, text):
        return None
    told = _TOLD.search(text)
    said = without_secrets(told[1]).strip() if told else ""
    return _connection(text, database) or _name(text, said, database) or _other(text, said, database, asked=asked)


def _text(error: Exception) -> str:
    """What was raised, with its class, and with what caused it in the JVM, of which the message tells only that."""
    stack = next((getattr(error, name) for name in ("_stackTrace", "_stacktrace") if getattr(error, name, None)), "")
    causes = [line for line in str(stack).splitlines() if line.startswith("Caused by")]
    return "\n".join([f"{error}", f"{type(error).__module__} {type(error).__name__}", *causes])


def _connection(text: str, database: Database) -> RfmSparkError | None:
    where, path = without_secrets(database.url.split("?")[0]), database.path
    if re.search(_NO_DRIVER, text):
        return EnvironmentFault(
            f"{path}.url: no driver of jdbc:{database.kind} is there; scripts/setup installs PostgreSQL's (on Sail "
            "rfm-spark[jdbc]), others and a cluster's go with spark-submit --jars"
        )
    if re.search(_REFUSED, text):
        return EnvironmentFault(
            f"{path}.password: {where} refuses this user or password; it comes from {database.password or 'nowhere'}, "
            "mend it there and run again"
        )
    if re.search(_NO_DATABASE, text):
        return InputError(f"{path}.url: there is no such database at {where}; check the name after the last slash")
    if re.search(_BROKEN, text):
        return EnvironmentFault(f"{path}: the connection to {where} broke; nothing was kept: run again")
    if re.search(_UNREACHABLE, text):
        return EnvironmentFault(
            f"{path}.url: no database answers at {where}; start it, let this machine through to it, or mend url, and "
            "run again"
        )
    return None


def _name(text: str, said: str, database: Database) -> RfmSparkError | None:
    if re.search(_NO_TABLE, text):
        return InputError(f"{database.path}.table: no table {database}; check its name and schema, and your rights")
    if re.search(r"permission denied", text):
        return EnvironmentFault(f"{database.path}.table: {said}; grant this user the right, and run again")
    if re.search(_WRONG_TYPE, text):
        return InputError(f"{database.path}.table: {database}: {said or text.splitlines()[0]}; mend one of them")
    if re.search("duplicate key value", text):
        return InputError(f"{database.path}.table: {database} has rows with the same key that are not to be replaced")
    if re.search(_BAD_QUERY, text):
        what = "the database does not take this query" if database.table.lstrip().startswith("(") else "SQL fails"
        return ConfigError([Fault(f"{database.path}.table", f"{what}: {said or text.splitlines()[0]}")])
    return None


def _other(text: str, said: str, database: Database, *, asked: bool) -> RfmSparkError | None:
    if not said and not asked:
        return None
    # what is in quotes may be a value of a row
    plain = re.sub(r"\"[^\"]*\"|'[^']*'", "…", said or text.splitlines()[0])[:200]
    return EnvironmentFault(f"{database.path}: {database} says: {plain}; mend it and run again")
