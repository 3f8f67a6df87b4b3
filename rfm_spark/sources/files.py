"""The files of a source, found without the engine, for one that does not tell which file a row is of.

A path is a file, a folder or a pattern (`*`, `?`, `[…]`, `{a,b}`), as Spark takes it. Names that begin with `_` or `.`
are no data; of subfolders only those called `name=value` are entered, whose value becomes a column.
"""

import fnmatch
import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlparse

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from rfm_spark.errors import EnvironmentFault
from rfm_spark.paths import is_elsewhere, without_scheme
from rfm_spark.sources.columns import FILE, fixed_part, is_on

_BRACES = re.compile(r"\{([^{}]*)\}")
_ILLEGAL = re.compile(r'[\x00-\x20"<>\\^`{|}%#?\[\]]')
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def files(spark: SparkSession, path: str, options: dict[str, str]) -> list[str]:
    """The addresses of the files, sorted; none where nothing is there."""
    place = without_scheme(path)
    if is_elsewhere(path):
        return sorted(spark.read.text(path).inputFiles())
    deep, wanted = is_on(options, "recursiveFileLookup"), options.get("pathGlobFilter", "*")
    roots = [Path(found) for pattern in _expanded(place) for found in glob.glob(pattern)]
    found = {file.absolute() for root in roots for file in _below(root, deep=deep)}
    return sorted(_address(file) for file in found if fnmatch.fnmatch(file.name, wanted))


def as_in_rows(address: str) -> str:
    """The address as rows carry it: a local one as Spark writes it there, with one slash."""
    return re.sub("^file:///", "file:/", address)


def folders(path: str, addresses: list[str]) -> list[str]:
    """The names of the `name=value` folders that the files of a path are in, below its fixed part."""
    start = fixed_part(path)
    base = start if is_elsewhere(start) else str(Path(urlparse(start).path).absolute())
    base = unquote(urlparse(base).path).rstrip("/")
    parts = [unquote(urlparse(address).path).removeprefix(base) for address in addresses]
    return list(dict.fromkeys(name for part in parts for name in re.findall(r"/([^/=]+)=[^/]*(?=/)", part)))


def with_folders(frame: DataFrame, names: list[str]) -> DataFrame:
    """The frame with a column of text for each of these folders."""
    return frame.withColumns({name: _folder(name) for name in names}) if names else frame


def _folder(name: str) -> Column:
    value = F.url_decode(F.regexp_extract(FILE, f"/{re.escape(name)}=([^/]*)/", 1))
    return F.when(value != _NO_VALUE, value)


def _expanded(pattern: str) -> Iterator[str]:
    """The patterns that one with braces stands for."""
    braces = _BRACES.search(pattern)
    if not braces:
        yield pattern
        return
    for choice in braces[1].split(","):
        yield from _expanded(pattern[: braces.start()] + choice + pattern[braces.end() :])


def _below(root: Path, *, deep: bool) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    seen = set()
    for folder, subfolders, names in os.walk(root, onerror=_refuse, followlinks=True):
        if (real := os.path.realpath(folder)) in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = [name for name in subfolders if (deep or "=" in name) and name[0] not in "._"]
        yield from (Path(folder) / name for name in names if name[0] not in "._")


def _refuse(error: OSError) -> None:
    raise EnvironmentFault(f"cannot look into {error.filename}: {error.strerror}; mend the rights and run again")


def _address(file: Path) -> str:
    """The address as Spark writes it: what an address may not hold is escaped, and no more."""
    return "file://" + _ILLEGAL.sub(lambda one: f"%{ord(one[0]):02X}", str(file))
