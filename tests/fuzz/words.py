"""Words that name sources, and lists of them: each item is an image or an error.

Addresses and cameras are left out: they would be opened.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from contextlib import chdir
from functools import cache
from itertools import islice
from pathlib import Path
from random import Random
from unittest import mock

from cvport.errors import InputError
from cvport.runtimes.sources import lists
from cvport.runtimes.sources.base import SourceOptions
from cvport.runtimes.sources.registry import SOURCES, open_list, open_sources
from fuzz import pictures
from fuzz.judging import SilentChangeError, Target
from fuzz.mutate import mutate_bytes

_MOST_ITEMS = 20
_OUTSIDE = ("://", "..", "~")


def run(data: bytes) -> None:
    """Take a text for a list of sources, and its first line for one."""
    text = data.decode("utf-8", "surrogateescape")
    words = [word for word in text.splitlines() if _is_inside(word)]
    with chdir(_folder()), mock.patch.object(lists, "_lines", return_value=words):
        sources = [open_list("@list.txt", SourceOptions()), open_sources(words[:1], SourceOptions(recursive=True))]
        for source in sources:
            list(source.notes)
            str(source.total)
            for item in islice(source, _MOST_ITEMS):
                loaded = item.loaded()
                if (loaded.image is None) == (loaded.error is None):
                    raise SilentChangeError(f"neither an image nor an error: {loaded}")


def _is_inside(word: str) -> bool:
    """Tell whether a word can only mean something in the working directory, which holds little."""
    inside = not word.strip().startswith(("/", "-")) and not any(mark in word for mark in _OUTSIDE)
    kinds = [name for name in ("address", "camera") if _means(name, word.strip())]
    return inside and not kinds


def _means(name: str, word: str) -> bool:
    try:
        return SOURCES[name].means(word)
    except (OSError, ValueError):
        return False


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "b").mkdir()
    for name in ("a.png", "b/c.jpg", "clip.mp4"):
        (folder / name).write_bytes(pictures.seeds()[0])
    return folder


def seeds() -> list[bytes]:
    """Paths, patterns and lists."""
    texts = ("a.png\n# a note\nb/*.jpg\n", "a?[b-d]**/e.png", "@other.txt\na.png", "手.png\n\u2028x", "b", "a" * 300)
    return [text.encode() for text in (*texts, "b\x00c", "clip.mp4")]


def mutate(data: bytes, rng: Random) -> bytes:
    """Return a changed text, now and then with marks that mean something."""
    changed = bytearray(mutate_bytes(data, rng))
    if rng.random() < 0.5:
        at = rng.randint(0, len(changed))
        changed[at:at] = rng.choice((b"*", b"?", b"[", b"]", b"**", b"/", b"\\", b"@", b"\n", b"\x00", b"%", b".mp4"))
    return bytes(changed)


TARGET = Target(seeds, run, mutate, (InputError.exit_code,))
