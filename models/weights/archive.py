"""Checks the zip file of a checkpoint before anything in it is used: PyTorch itself does not compare its checksums."""

from __future__ import annotations

import logging
import zipfile
import zlib
from typing import TYPE_CHECKING

from ...errors import WeightsError
from ..printable import printable

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)

_SIGNATURE = b"PK\x03\x04"
_CHUNK = 1 << 20
# PyTorch stores members as they are. Other writers may compress them; weights never shrink to a hundredth.
_LARGEST_RATIO = 100
# Small members, such as a tensor of zeros, may shrink further.
_ALWAYS_FINE = 1 << 20
# The largest of these models has 0.4 GB; with the state of its optimizer and an average, three to four times that.
_LARGEST_TOTAL = 32 << 30
_MOST_MEMBERS = 100_000
# Of the attributes that MS-DOS gives a file: it is a folder (PKWARE's APPNOTE, 4.4.15).
_FOLDER = 0x10
# Of a name in a message.
LONGEST = 80


def check_archive(path: Path) -> int:
    """Refuse a damaged zip file, and one that would unpack to far more than it holds.

    A file that is no zip file, as PyTorch wrote them before 1.6, has no checksums and is left to the unpickler.

    Args:
        path: The file.

    Returns:
        The number of bytes that its tensors may take: what the members hold unpacked, or the size of the file.

    Raises:
        WeightsError: A member does not have the checksum that was written with it, or the sizes make no sense.
        OSError: The file cannot be read.

    """
    with path.open("rb") as file:
        if file.read(len(_SIGNATURE)) != _SIGNATURE:
            return path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_sizes(path, members)
            _check_sums(path, archive, members)
    # zipfile raises what the damaged place leads to: an encrypted member, an unknown compression, a broken stream.
    except (zipfile.BadZipFile, zlib.error, RuntimeError, ValueError, EOFError, LookupError) as error:
        raise WeightsError(
            f"{path} is not a PyTorch checkpoint: damaged zip file: {printable(str(error), LONGEST)}",
            "Check that the download is complete.",
        ) from error
    return sum(member.file_size for member in members)


def _check_sizes(path: Path, members: list[zipfile.ZipInfo]) -> None:
    total = sum(member.file_size for member in members)
    swollen = [
        member.filename
        for member in members
        if member.file_size > _ALWAYS_FINE and member.file_size > _LARGEST_RATIO * member.compress_size
    ]
    if len(members) > _MOST_MEMBERS or total > _LARGEST_TOTAL or swollen:
        what = f"{printable(swollen[0], LONGEST)} unpacks to over {_LARGEST_RATIO} times its size" if swollen else ""
        raise WeightsError(
            f"{path} is refused: {what or f'{len(members)} members that unpack to {total / 1e9:.1f} GB'}",
            "Save the tensors alone, as PyTorch does: torch.save(model.state_dict(), FILE)",
        )


def _check_sums(path: Path, archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> None:
    if all(member.CRC == 0 for member in members):
        # Written after torch.serialization.set_crc32_options(False).
        _log.warning("%s was saved without checksums: damage of its tensors cannot be seen", path)
        return
    for member in members:
        _check_member(path, archive, member)


def _check_member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Read a member to its end, where zipfile compares its checksum."""
    name = printable(member.filename, LONGEST)
    if member.is_dir() or member.external_attr & _FOLDER:
        # Its checksum may fit, and PyTorch would return memory that was never written.
        raise WeightsError(f"{path} is refused: {name} is marked as a folder", "Download or copy it again.")
    try:
        with archive.open(member) as content:
            while content.read(_CHUNK):
                pass
    except zipfile.BadZipFile as error:
        raise WeightsError(
            f"{path} is not a PyTorch checkpoint: {name} is damaged: it does not have the checksum it was saved with",
            "Download or copy it again.",
        ) from error
