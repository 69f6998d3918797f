"""Classes against labels that somebody gave: top-1 accuracy, precision and recall per class, confusion."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError, UsageError, did_you_mean
from ..arguments import class_ids, ids_named
from ..kinds.text import counted
from .base import Evaluation, Figure, Score, Truth
from .matching import list_images, match, some
from .tables import align

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ...models.results import Classification
    from .base import Request

# How the columns of a CSV file with a header may be called.
_FILES = frozenset(("file", "file_name", "filename", "image", "image_path", "name", "path"))
_LABELS = frozenset(("category", "class", "class_name", "label"))
_HINT = "Give lines of file,label; the first may name the columns."


def read(request: Request) -> Truth:
    """Read the labels of a CSV file, else those that the folders of the images have as names.

    Raises:
        InputError: The file cannot be used, or a label is none of the model's classes.

    """
    return _from_folders(request) if request.annotations is None else _from_file(request, request.annotations)


def _from_file(request: Request, path: Path) -> Truth:
    given = read_csv(path)
    ids, notes = _ids(given.values(), request)
    images = list_images(request.words, request.sources)
    matched = match(list(given), images.items)
    return Truth(
        items=list(matched.items.values()),
        answers={item.name: ids[given[name]] for name, item in matched.items.items()},
        labels=dict(enumerate(request.labels)),
        failures=[*images.failures, *matched.failures],
        missing=len(matched.failures),
        skipped=matched.skipped,
        notes=[*images.notes, *notes],
    )


def _from_folders(request: Request) -> Truth:
    words = [inside for word in request.words for inside in _class_folders(word, request)]
    images = list_images(words, request.sources)
    folders = {item.name: Path(item.name).absolute().parent.name for item in images.items}
    if not folders:
        raise images.failures[0].error if images.failures else InputError("no images", "Give a folder per class.")
    ids, notes = _ids(folders.values(), request)
    return Truth(
        items=images.items,
        answers={name: ids[folder] for name, folder in folders.items()},
        labels=dict(enumerate(request.labels)),
        failures=images.failures,
        notes=[*images.notes, *notes],
    )


def _class_folders(word: str, request: Request) -> list[str]:
    """Return the folders in a folder; the word itself where it is none, or is called like a class."""
    path = Path(word)
    if not path.is_dir() or ids_named(path.absolute().name, request.labels, request.spec.translations):
        return [word]
    try:
        inside = sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", "Check the folder's permissions.") from error
    return [str(entry) for entry in inside] or [word]


def _ids(names: Iterable[str], request: Request) -> tuple[dict[str, int], list[str]]:
    """Return the class id of each label, and what was assumed.

    Raises:
        InputError: A label is none of the model's classes.

    """
    counts = Counter(names)
    ids: dict[str, int] = {}
    unknown: list[str] = []
    for name in counts:
        try:
            ids[name] = class_ids([name], request.labels, request.spec.translations)[0]
        except UsageError:
            unknown.append(name)
    if unknown:
        told = [f"{name!r} ({counted(counts[name], 'image')})" for name in unknown]
        near = [did_you_mean(name, request.labels) for name in unknown[:3]]
        raise InputError(f"{request.spec.name} has no class {some(told)}", " ".join(dict.fromkeys(near)))
    numbers = [name for name in ids if not ids_named(name, request.labels, request.spec.translations)]
    pairs = [f"{name} = {request.labels[ids[name]]}" for name in numbers]
    return ids, [f"labels are taken for class numbers, from 0: {some(pairs)}"] if pairs else []


def read_csv(path: Path) -> dict[str, str]:
    """Read the label of each file.

    The first line may name the columns, in any order and among others; else the file comes first, then the label.

    Raises:
        InputError: It cannot be read, a line has no file or label, or a file has two lines.

    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [[cell.strip() for cell in line] for line in csv.reader(file)]
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}", "Check --annotations.") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read the labels {path}: {error}", _HINT) from error
    first, second = _columns(lines[0]) if lines else (0, 1)
    has_header = bool(lines) and _is_header(lines[0])
    labels: dict[str, str] = {}
    for number, line in enumerate(lines[has_header:], 1 + has_header):
        if not any(line):
            continue
        if len(line) <= max(first, second) or not (line[first] and line[second]):
            raise InputError(f"line {number} of {path} has no file and label: {','.join(line)!r}", _HINT)
        if line[first] in labels:
            raise InputError(f"line {number} of {path} names {line[first]} again", "Leave one of the lines.")
        labels[line[first]] = line[second]
    if not labels:
        raise InputError(f"there are no labels in {path}", _HINT)
    return labels


def _is_header(line: Sequence[str]) -> bool:
    names = {cell.casefold() for cell in line}
    return bool(names & _FILES) and bool(names & _LABELS)


def _columns(line: Sequence[str]) -> tuple[int, int]:
    """Return the places of the file and the label."""
    if not _is_header(line):
        return 0, 1
    names = [cell.casefold() for cell in line]
    return (
        next(place for place, name in enumerate(names) if name in _FILES),
        next(place for place, name in enumerate(names) if name in _LABELS),
    )


def score(truth: Truth, results: Mapping[str, Classification]) -> Score:
    """Compare the best class of each image with its label.

    The macro averages are over the classes that the truth has; the precision of one that was never chosen is 0 there.
    Per class: ``truth``, ``predicted`` and ``correct`` (numbers of images), ``precision`` and ``recall`` (None for
    none of none). ``confusion`` has the truth in its rows and what was chosen in its columns.
    """
    labels = list(truth.labels.values())
    confusion = [[0] * len(labels) for _ in labels]
    for name, result in results.items():
        confusion[truth.answers[name]][result.order()[0]] += 1
    rows: list[dict[str, Any]] = []
    for number, label in enumerate(labels):
        given, chosen = sum(confusion[number]), sum(row[number] for row in confusion)
        correct = confusion[number][number]
        rows.append(
            {
                "label": label,
                "truth": given,
                "predicted": chosen,
                "correct": correct,
                "precision": _share(correct, chosen),
                "recall": _share(correct, given),
            }
        )
    there = [row for row in rows if row["truth"]]
    figures = {
        "top_1": _share(sum(row["correct"] for row in rows), len(results)),
        "macro_precision": _share(sum(row["precision"] or 0.0 for row in there), len(there)),
        "macro_recall": _share(sum(row["recall"] for row in there), len(there)),
    }
    return Score(figures, rows, {"confusion": confusion})


def _share(part: float, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def _details(result: Score) -> list[str]:
    """Return the confusion of the classes that occur."""
    confusion = result.more["confusion"]
    there = [number for number, row in enumerate(result.rows) if row["truth"] or row["predicted"]]
    labels = [str(result.rows[number]["label"]) for number in there]
    rows = [[labels[i], *(str(confusion[one][other]) for other in there)] for i, one in enumerate(there)]
    return ["confusion: the truth in rows, what was chosen in columns", *align([["", *labels], *rows])]


EVALUATION = Evaluation(
    read=read,
    score=score,
    figures=(
        Figure("top_1", "top-1"),
        Figure("macro_precision", "precision (macro)"),
        Figure("macro_recall", "recall (macro)"),
    ),
    columns=(
        Figure("label", "class", "{}"),
        Figure("truth", "images", "{}"),
        Figure("predicted", "chosen", "{}"),
        Figure("correct", "correct", "{}"),
        Figure("precision", "precision"),
        Figure("recall", "recall"),
    ),
    details=_details,
)
