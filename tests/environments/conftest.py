"""The wheel, as these environments install it."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.distributions import build, copy_checkout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that the source distribution builds."""
    import tarfile

    folder = tmp_path_factory.mktemp("wheel")
    archived = build(copy_checkout(folder / "checkout"), "sdist")
    with tarfile.open(archived) as archive:
        archive.extractall(folder, filter="data")
    return build(folder / archived.name.removesuffix(".tar.gz"), "wheel")
