"""Whether a path is of this machine's files, however it is written."""

import re


def without_scheme(path: str) -> str:
    """A path without the scheme of this machine's files; one of another scheme stays as it is."""
    return re.sub("^file:(//)?", "", path)


def is_elsewhere(path: str) -> bool:
    """Whether a path is not of this machine's files."""
    return "://" in without_scheme(path) or path.startswith("dbfs:")
