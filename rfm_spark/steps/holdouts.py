"""Holdouts: who is not contacted, so that the effect on those who are can be measured."""

import hashlib

from pyspark.sql import Column
from pyspark.sql import functions as F

PLACES = 10_000
_SEPARATOR = "\x1f"
_DIGITS = 13  # of the hash, in base 16: 52 bits


def draw(key: str, person: str) -> Column:
    """A person's place in a draw, 0..9999: SHA-256 of the key, a separator and the stable id, of column `person`.

    The same on every engine and machine; another key draws independently of this one.
    """
    return (ticket(key, person) % PLACES).cast("int")


def ticket(key: str, person: str) -> Column:
    """A number of 52 bits that orders people by no property of theirs; see `draw`."""
    hashed = F.sha2(F.concat(F.lit(f"{key}{_SEPARATOR}"), F.col(person)), 256)
    return F.conv(F.substring(hashed, 1, _DIGITS), 16, 10).cast("bigint")


def is_held_out(place: Column, share: float) -> Column:
    """Whether a place in the draw is in the holdout: the first `share` of the places, so a greater share keeps them."""
    return place < round(share * PLACES)


def draw_in_python(key: str, person: str) -> int:
    """As `draw`, of one id: for senders who must know it without Spark."""
    digest = hashlib.sha256(f"{key}{_SEPARATOR}{person}".encode()).hexdigest()
    return int(digest[:_DIGITS], 16) % PLACES
