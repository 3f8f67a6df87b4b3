"""Message templates: text with {field} or {field|default} in it, and {{ or }} for a brace. Nothing is evaluated."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rfm_spark.config.base import NAME_PATTERN
from rfm_spark.config.words import found

_FIELD = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


@dataclass(frozen=True)
class Part:
    """A piece of a message: text as it stands, or a field and what stands for it where a customer has none."""

    text: str = ""
    field: str | None = None
    default: str | None = None


def parts(template: str) -> list[Part]:
    """The pieces of a template that has no fault."""
    pieces, at = [], 0
    for match in _FIELD.finditer(template):
        pieces.append(Part(template[at : match.start()]))
        at = match.end()
        if match[1] is None:
            pieces.append(Part(match[0][0]))
            continue
        name, bar, default = match[1].partition("|")
        pieces.append(Part(field=name.strip(), default=default if bar else None))
    pieces.append(Part(template[at:]))
    return [piece for piece in pieces if piece.field is not None or piece.text]


def fields(template: str) -> list[str]:
    """The fields of a template, each once."""
    return list(dict.fromkeys(part.field for part in parts(template) if part.field is not None))


def faults(template: str) -> Iterator[str]:
    """What is wrong with a template, whatever fields there are."""
    for match in _FIELD.finditer(template):
        if match[0] in "{}":
            yield f"found {match[0]} alone, expected {{field}}, or {match[0] * 2} for the character itself"
        elif match[1] is not None and not re.fullmatch(NAME_PATTERN, match[1].partition("|")[0].strip()):
            yield f"found {found(match[0])}, expected the name of a field alone, such as {{first_name|there}}"
