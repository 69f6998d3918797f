"""What a --weights value names."""

from pathlib import Path

import pytest

from cvport.errors import UsageError
from cvport.models.weights.files import LocalFile, Sample, Seeded, parse_address
from cvport.models.weights.hub import HubAddress


@pytest.mark.parametrize(
    ("text", "address", "canonical"),
    [
        ("seeded", Seeded(0), "seeded:0"),
        ("seeded:", Seeded(0), "seeded:0"),
        ("seeded:007", Seeded(7), "seeded:7"),
        ("ms:org/model", HubAddress("ms", "org/model"), "ms:org/model"),
        ("hf:org/model@v1", HubAddress("hf", "org/model", "v1"), "hf:org/model@v1"),
        ("sample", Sample(), "sample"),
        ("./sample", LocalFile("./sample"), "./sample"),
        ("seeded.pth", LocalFile("seeded.pth"), "seeded.pth"),
        ("C:/weights/a.pth", LocalFile("C:/weights/a.pth"), "C:/weights/a.pth"),
        ("gh:org/model", LocalFile("gh:org/model"), "gh:org/model"),
        ("", LocalFile(""), ""),
    ],
)
def test_a_value_is_read_and_written(text, address, canonical):
    assert parse_address(text) == address
    assert str(parse_address(text)) == canonical
    assert parse_address(canonical) == address


def test_a_path_is_never_an_address():
    assert parse_address(Path("seeded")) == LocalFile("seeded")
    assert parse_address(Path("sample")) == LocalFile("sample")


def test_the_home_folder_is_resolved(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse_address("~/a.pth").path == tmp_path / "a.pth"
    assert parse_address("~nobody-of-that-name/a.pth").path == Path("~nobody-of-that-name/a.pth")


@pytest.mark.parametrize("text", ["seeded:x", "seeded:-1", "seeded:1.5", "seeded:\u0663"])
def test_what_is_no_seed(text):
    with pytest.raises(UsageError, match="is not a seed"):
        parse_address(text)


@pytest.mark.parametrize("text", ["ms:", "hf:model", "ms:org/model@"])
def test_what_is_no_address_of_a_hub(text):
    with pytest.raises(UsageError, match="is not a hub address"):
        parse_address(text)
