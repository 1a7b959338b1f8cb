import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.provenance.text import clean, decode, one_line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jgone", "gone"),
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("evil\u202egnp.exe", "evilgnp.exe"),
        ("nul\0bell\x07", "nulbell"),
        ("half \ud83d pair", "half \ufffd pair"),
        ("می‌خواهم", "می‌خواهم"),
        ("tab\tstays", "tab\tstays"),
    ],
)
def test_clean(text: str, expected: str) -> None:
    assert clean(text) == expected


def test_limits() -> None:
    assert clean("a" * 30, 10) == "a" * 9 + "…"
    assert one_line("a b\n\n c", 100) == "a b c"
    assert len(one_line("word " * 1000, 50)) <= 50
    assert len(clean("\x1b[0m" * 1_000_000 + "a")) <= 20_000


@given(st.text(alphabet=st.characters(), max_size=200))
def test_cleaned_text_is_safe_to_print_and_to_encode(text: str) -> None:
    found = clean(text)
    found.encode("utf-8")
    assert not [char for char in found if unicodedata.category(char) == "Cc" and char not in "\n\t"]
    assert clean(found) == found
    assert "\n" not in one_line(text)


def test_decode() -> None:
    assert decode("Zoë".encode()) == decode("Zoë".encode("latin-1")) == "Zoë"
