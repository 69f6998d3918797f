"""The licences that installed packages declare, as SPDX expressions where their metadata says so much."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from importlib.metadata import PackageMetadata

# What older metadata says in free words, and what classifiers say, with the identifiers of https://spdx.org/licenses.
# Classifiers that leave the version open, such as "BSD License", have none.
_SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "Apache-2.0": "Apache-2.0",
    "BSD-2-Clause": "BSD-2-Clause",
    "BSD-3-Clause": "BSD-3-Clause",
    "FreeBSD": "BSD-2-Clause",
    "HPND": "HPND",
    "ISC License (ISCL)": "ISC",
    "MIT": "MIT",
    "MIT License": "MIT",
    "MIT-CMU": "MIT-CMU",
    "Python Software Foundation License": "PSF-2.0",
}
# A longer text is the licence itself, not its name.
_LONGEST_NAME = 60


class Licence(NamedTuple):
    """The licence of a package.

    Attributes:
        name: An SPDX expression, or the words of the package.
        is_spdx: Which of the two.

    """

    name: str
    is_spdx: bool


def declared_licence(package: str, version: str | None = None) -> Licence | None:
    """Return the licence that an installed package declares.

    Args:
        package: Name of the distribution.
        version: The version that is asked about; None is the installed one.

    Returns:
        None where the package is not installed in that version, or declares none.

    """
    try:
        metadata = importlib.metadata.metadata(package)
    except importlib.metadata.PackageNotFoundError:
        return None
    if version not in (None, metadata["Version"]):
        return None
    return _licence_of(metadata)


def _licence_of(metadata: PackageMetadata) -> Licence | None:
    """Return what core metadata says: an expression (2.4 on), else what older fields say that has an identifier."""
    if "License-Expression" in metadata:
        return Licence(metadata["License-Expression"], is_spdx=True)
    words = [metadata["License"].strip()] if "License" in metadata else []
    words += [
        entry.rpartition(" :: ")[2]
        for entry in metadata.get_all("Classifier") or []
        if entry.startswith("License :: OSI Approved :: ")
    ]
    known = next((_SPDX[word] for word in words if word in _SPDX), None)
    if known is not None:
        return Licence(known, is_spdx=True)
    named = next((word for word in words if word and len(word) <= _LONGEST_NAME and "\n" not in word), None)
    return None if named is None else Licence(named, is_spdx=False)
