"""Licences as the metadata of packages declares them, in all its forms."""

import pytest

from cvport.exporters.licences import Licence, declared_licence

TEXT = "Permission is hereby granted,\nfree of charge, to any person"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a package that has these lines of metadata."""

    def install(*lines):
        info = tmp_path / "thing-1.2.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(
            "\n".join(("Metadata-Version: 2.4", "Name: thing", "Version: 1.2", *lines)) + "\n"
        )
        monkeypatch.syspath_prepend(tmp_path)

    return install


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["License-Expression: MIT AND Zlib", "License: other"], Licence("MIT AND Zlib", is_spdx=True)),
        (["License: Apache 2.0 License"], Licence("Apache-2.0", is_spdx=True)),
        (["License: FreeBSD"], Licence("BSD-2-Clause", is_spdx=True)),
        (["Classifier: License :: OSI Approved :: MIT License"], Licence("MIT", is_spdx=True)),
        (
            [f"License: {TEXT.splitlines()[0]}", "Classifier: License :: OSI Approved :: MIT License"],
            Licence("MIT", is_spdx=True),
        ),
        (["Classifier: License :: OSI Approved :: BSD License"], Licence("BSD License", is_spdx=False)),
        (["License: Beerware"], Licence("Beerware", is_spdx=False)),
        ([f"License: {'word ' * 20}"], None),
        (["Classifier: Topic :: Utilities"], None),
        ([], None),
    ],
)
def test_metadata(installed, lines, expected):
    installed(*lines)
    assert declared_licence("thing") == expected
    assert declared_licence("thing", "1.2") == expected


def test_text_of_several_lines_is_no_name(installed):
    installed("License: Permission is hereby granted,\n        free of charge")
    assert declared_licence("thing") is None


def test_other_versions_and_missing_packages(installed):
    installed("License: MIT")
    assert declared_licence("thing", "1.3") is None
    assert declared_licence("cvport-no-such-package") is None
