"""Spellings of an id as one comparable value, without a JVM; and where the function travels without the package."""

import subprocess
import sys

import pytest

from rfm_spark.config.identity import Blocked, IdType
from rfm_spark.steps.identity.normalise import blocked_values, normaliser

VALUE_OF = normaliser(
    {
        "mail": ("email", None, False),
        "tagless": ("email", None, True),
        "gb": ("phone", "GB", False),
        "any": ("phone", None, False),
        "card": ("text", None, False),
        "raw": ("none", None, False),
        "number": ("digits", None, False),
    }
)


@pytest.mark.parametrize(
    ("id_type", "spelling", "value"),
    [
        ("mail", " Ann.Lee@Example.COM ", "ann.lee@example.com"),
        ("mail", "ａｎｎ@example.com", "ann@example.com"),  # full width
        ("mail", "ann@bücher.de", "ann@xn--bcher-kva.de"),
        ("mail", "ann@BÜCHER.de", "ann@xn--bcher-kva.de"),
        ("mail", "ann@xn--bcher-kva.de", "ann@xn--bcher-kva.de"),
        ("mail", "jose\u0301@example.com", "josé@example.com"),  # an accent of its own
        ("mail", "straße@example.com", "strasse@example.com"),
        ("mail", "mailto:ann@example.com", "ann@example.com"),
        ("mail", "ann+shop@example.com", "ann+shop@example.com"),
        ("tagless", "ann+shop@example.com", "ann@example.com"),
        ("tagless", "+shop@example.com", None),
        ("mail", "ann@localhost", None),
        ("mail", "ann", None),
        ("mail", "@example.com", None),
        ("mail", "a b@example.com", None),
        ("gb", "020 7946 0018", "+442079460018"),
        ("gb", "+44 (0)20 7946 0018", "+442079460018"),
        ("gb", "0044 20 7946 0018", "+442079460018"),
        ("gb", "020 7946 0018 ext. 12", "+442079460018"),
        ("gb", "+1 212 555 0123", "+12125550123"),
        ("gb", "٠٢٠ ٧٩٤٦ ٠٠١٨", "+442079460018"),  # Arabic digits
        ("gb", "0000", None),
        ("gb", "call me", None),
        ("any", "020 7946 0018", None),
        ("any", "+442079460018", "+442079460018"),
        ("card", "  Ab  12 ", "ab 12"),
        ("card", "ＡＢ１２", "ab12"),
        ("raw", "Ab 12", "Ab 12"),
        ("number", "No. 12-34", "1234"),
        ("number", "none", None),
    ],
)
def test_values(id_type, spelling, value):
    assert VALUE_OF(id_type, spelling) == value


def test_a_value_is_a_spelling_of_itself():
    spellings = {"mail": "ＡNN@Straße.de", "gb": "020 7946 0018", "card": "ﬀ Ǆ  ẞ", "number": "1a"}
    for id_type, spelling in spellings.items():
        value = VALUE_OF(id_type, spelling)
        assert value is not None
        assert VALUE_OF(id_type, value) == value


def test_the_function_needs_nothing_of_this_package_where_it_runs():
    from pyspark import cloudpickle

    travels = cloudpickle.dumps(VALUE_OF)
    there = (
        "import sys, pickle; sys.modules['rfm_spark'] = None\n"
        f"value_of = pickle.loads({travels!r})\n"
        "print(value_of('mail', 'A@B.de'), value_of('gb', '020 7946 0018'))"
    )
    done = subprocess.run([sys.executable, "-c", there], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.split() == ["a@b.de", "+442079460018"]


def test_a_blocked_value_is_blocked_in_every_spelling_of_its_type():
    types = {
        "phone": IdType(normalise="phone", region="GB"),
        "email": IdType(normalise="email"),
        "card": IdType(normalise="digits"),
    }
    blocked = Blocked(values=["020 7946 0000", "Nobody1@Example.com", "0-0"])
    assert blocked_values(blocked, types) == {
        "phone": ["+442079460000"],
        "email": ["nobody1@example.com"],
        "card": ["00", "02079460000"],
    }
    assert blocked_values(Blocked(), types) == {}
