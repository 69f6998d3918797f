"""Names of other people as they stand in our lines."""

import pytest

from cvport.models.printable import printable, without_controls


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("手 cat é", "手 cat é"),
        ("a\x1b[31mb", "a\\u001b[31mb"),
        ("a\nerror: b", "a\\u000aerror: b"),
        ("\x9b\x7f\u202egnp.\u2028", "\\u009b\\u007f\\u202egnp.\\u2028"),
        ("\udcff\U000e0001", "\\udcff\\U000e0001"),
    ],
)
def test_names(name, shown):
    assert printable(name) == shown
    assert printable(name, 3) in (shown, f"{shown[:3]}...")


def test_lines_stay_lines():
    assert without_controls("a\tb\n手\r\x1b]0;c\x07\u202e") == "a\tb\n手\\u000d\\u001b]0;c\\u0007\\u202e"
