"""Which image of the sources an annotation means."""

from __future__ import annotations

from collections import defaultdict
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from ...errors import InputError, UsageError
from ..kinds.text import counted
from ..sinks.base import Failure
from ..sources.registry import open_sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..sources.base import Item, SourceOptions

_SHOWN = 5


class Images(NamedTuple):
    """The images of the sources.

    Attributes:
        items: Each once, in order.
        failures: Words that mean no image.
        notes: What was left out.

    """

    items: list[Item]
    failures: list[Failure]
    notes: list[str]


class Matched(NamedTuple):
    """Annotations and images that belong together.

    Attributes:
        items: The image of each annotated name.
        failures: The annotated names that have no image.
        skipped: Names of the images that no annotation means.

    """

    items: dict[str, Item]
    failures: list[Failure]
    skipped: list[str]


def list_images(words: Iterable[str], options: SourceOptions) -> Images:
    """Return the images of some sources, without reading the files.

    Raises:
        UsageError: One is a video or a camera, whose frames have no names.

    """
    items: dict[str, Item] = {}
    failures: list[Failure] = []
    twice = 0
    for item in open_sources(words, options):
        if item.frame is not None:
            raise UsageError(f"{item.name} gives frames, truth belongs to images", "Write its frames to a folder.")
        if item.error is not None:
            failures.append(Failure(item.name, item.error))
            continue
        twice += item.name in items
        items[item.name] = item
    notes = [f"{counted(twice, 'image')} given more than once, evaluated once"] if twice else []
    return Images(list(items.values()), failures, notes)


def match(names: Sequence[str], items: Sequence[Item], key: Callable[[str], str] = lambda name: name) -> Matched:
    """Find the image of each annotated name.

    A name is a path relative to some folder: an image whose path ends with it is meant. What is left is matched by the
    last part of the path.

    Args:
        names: Annotated names, each once.
        items: Images.
        key: Maps both to what is compared.

    Raises:
        InputError: A name may mean several images, or an image several names; two names mean the same; no image is
            meant by any.

    """
    wanted: dict[tuple[str, ...], str] = {}
    for name in names:
        other = wanted.setdefault(_parts(key(name)), name)
        if other != name:
            raise InputError(f"{other} and {name} of the annotations mean the same image", "Leave one of them.")
    found: dict[str, Item] = {}
    left: list[Item] = []
    for item in items:
        parts = _parts(key(item.name))
        meant = next((wanted[parts[i:]] for i in range(len(parts)) if parts[i:] in wanted), None)
        if meant is None:
            left.append(item)
        elif meant in found:
            raise _ambiguous(meant, [found[meant].name, item.name])
        else:
            found[meant] = item
    skipped = _match_last([name for name in names if name not in found], left, key, found)
    if not found:
        raise InputError(
            f"none of {counted(len(names), 'annotated image')} is among {counted(len(items), 'image')} of the sources",
            f"The truth names {names[0]!r}, the sources {items[0].name!r}." if names and items else "Check both.",
        )
    missing = [name for name in names if name not in found]
    failures = [Failure(name, InputError(f"{name} is annotated and not among the sources")) for name in missing]
    return Matched(found, failures, skipped)


def _match_last(
    names: Sequence[str], items: Sequence[Item], key: Callable[[str], str], found: dict[str, Item]
) -> list[str]:
    """Add the images that have the last part of a name to *found*, and return the names of the others."""
    by_last: dict[str, tuple[list[str], list[Item]]] = defaultdict(lambda: ([], []))
    for name in names:
        by_last[_parts(key(name))[-1]][0].append(name)
    for item in items:
        by_last[_parts(key(item.name))[-1]][1].append(item)
    skipped: list[str] = []
    for annotated, images in by_last.values():
        if annotated and images:
            if len(images) > 1:
                raise _ambiguous(annotated[0], [item.name for item in images])
            if len(annotated) > 1:
                raise _ambiguous(images[0].name, annotated)
            found[annotated[0]] = images[0]
        else:
            skipped += [item.name for item in images]
    return skipped


def some(names: Sequence[str], most: int = _SHOWN) -> str:
    """Return the first of some names, with dots where there are more."""
    return ", ".join([*names[:most], *(["..."] if len(names) > most else [])])


def _ambiguous(name: str, others: Sequence[str]) -> InputError:
    return InputError(
        f"{name} may mean {some(others)}", "Give folders in which a name occurs once, or paths in the annotations."
    )


def _parts(name: str) -> tuple[str, ...]:
    return PurePosixPath(name.replace("\\", "/")).parts or ("",)
