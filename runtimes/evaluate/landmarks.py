"""Landmarks against points that somebody set: the normalised mean error of 68 points, one face an image.

The error of a face is the mean distance of its points to the true ones over the distance of the outer corners of the
eyes, in percent: Sagonas et al., 300 Faces in-the-Wild Challenge, ICCV Workshops 2013.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import InputError, UsageError
from ...models.lazy import resolve
from ..sinks.base import Failure
from .base import Evaluation, Figure, Score, Truth
from .matching import list_images, match
from .points_file import read_points
from .tables import align

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ...models.results import Landmarks
    from ...models.spec import ModelSpec
    from ..sources.base import Item
    from .base import Request

_ENDING = ".pts"
_POINTS = 68
# Points 37 and 46 of the 300-W markup, which counts from 1.
_EYE_CORNERS = (36, 45)
# A face whose error is larger has failed, in percent.
_FAILURE = 8.0
_WORST = 10


def read(request: Request) -> Truth:
    """Read the .pts files beside the images, or in a folder, and find their images.

    The box of a face is the smallest one around its points; preprocessing adds the margin that is sealed with the
    model.

    Raises:
        UsageError: The model does not find 68 points.
        InputError: There is no image with points.

    """
    _check(request.spec)
    images = list_images(request.words, request.sources)
    failures, missing = list(images.failures), list[Failure]()
    if request.annotations is None:
        files = {item.name: Path(item.name).with_suffix(_ENDING) for item in images.items}
        pairs = [(item, files[item.name]) for item in images.items if files[item.name].is_file()]
        skipped = [item.name for item in images.items if not files[item.name].is_file()]
        if not pairs:
            raise failures[0].error if failures else _nothing(images.items)
    else:
        names = _list_points(request.annotations)
        matched = match(names, images.items, lambda name: str(Path(name).with_suffix("")))
        pairs = [(item, request.annotations / name) for name, item in matched.items.items()]
        missing, skipped = matched.failures, matched.skipped
    answers: dict[str, NDArray[np.float64]] = {}
    for item, path in pairs:
        try:
            answers[item.name] = _face(path)
        except InputError as error:
            failures.append(Failure(item.name, error))
    if not answers:
        raise failures[0].error
    return Truth(
        items=[item for item, _ in pairs if item.name in answers],
        answers=answers,
        failures=[*failures, *missing],
        missing=len(missing),
        skipped=skipped,
        notes=images.notes,
        boxes=None if request.cropped else {name: _around(points) for name, points in answers.items()},
    )


def _check(spec: ModelSpec) -> None:
    count = _POINTS if spec.skeleton is None else len(resolve(spec.skeleton, spec.package))
    if count != _POINTS:
        raise UsageError(
            f"{spec.name} finds {count} points, and the error is defined for the {_POINTS} of 300-W",
            "Compare its results yourself: cvrun --format json",
        )


def _nothing(items: list[Item]) -> InputError:
    where = f"such as {Path(items[0].name).with_suffix(_ENDING)}" if items else "and there are no images"
    return InputError(f"no image has points beside it, {where}", "Give the folder of the .pts files: --annotations DIR")


def _list_points(folder: Path) -> list[str]:
    """Return the .pts files in a folder and its subfolders, relative to it."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder", "Give the folder of the .pts files.")
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix.lower() == _ENDING)
    if not names:
        raise InputError(f"no .pts files in {folder}", "Give the folder of the .pts files.")
    return names


def _face(path: Path) -> NDArray[np.float64]:
    """Return the 68 points of a face, between whose eyes there is a distance."""
    points = read_points(path)
    if len(points) != _POINTS:
        raise InputError(f"{path} has {len(points)} points, not {_POINTS}", "The markup of 300-W has 68.")
    if not _eye_distance(points) > 0:
        raise InputError(f"the corners of the eyes are one point in {path}", "Correct the points 37 and 46.")
    return points


def _eye_distance(points: NDArray[np.float64]) -> float:
    first, second = _EYE_CORNERS
    return float(np.linalg.norm(points[first] - points[second]))


def _around(points: NDArray[np.float64]) -> list[float]:
    """Return the smallest box around points, x1 y1 x2 y2."""
    lower: list[float] = points.min(axis=0).tolist()
    upper: list[float] = points.max(axis=0).tolist()
    return [*lower, *upper]


def normalised_error(found: NDArray[np.floating], true: NDArray[np.float64]) -> float:
    """Return the mean distance of (68, 2) points to the true ones, in percent of the distance of the eyes."""
    distances = np.linalg.norm(found.astype(np.float64) - true, axis=1)
    return float(100 * distances.mean() / _eye_distance(true))


def score(truth: Truth, results: Mapping[str, Landmarks]) -> Score:
    """Compute the error of each face, and over the faces: mean, median, failures and area, in percent.

    The area is that under the share of faces whose error is at most x, for x from 0 to 8 %, of what it is at best; as
    the share is a step function, it is the mean of 1 - error / 8 % over the faces, failures counting 0.
    """
    rows = [
        {"source": name, "nme": round(normalised_error(result.points[0], truth.answers[name]), 6)}
        for name, result in results.items()
    ]
    if not rows:
        return Score(dict.fromkeys((figure.name for figure in EVALUATION.figures), None))
    errors = np.array([row["nme"] for row in rows], dtype=np.float64)
    figures = {
        "nme_mean": float(errors.mean()),
        "nme_median": float(np.median(errors)),
        "failure_rate": float(100 * np.mean(errors > _FAILURE)),
        "auc": float(100 * np.mean(np.clip(1 - errors / _FAILURE, 0, None))),
    }
    return Score({name: round(value, 6) for name, value in figures.items()}, rows)


def _details(result: Score) -> list[str]:
    """Return the faces with the largest errors."""
    worst = sorted(result.rows, key=lambda row: -row["nme"])[:_WORST]
    return ["largest errors", *align([[f"{row['nme']:.3f}", str(row["source"])] for row in worst])]


EVALUATION = Evaluation(
    read=read,
    score=score,
    figures=(
        Figure("nme_mean", "NME mean (%)", "{:.3f}"),
        Figure("nme_median", "NME median (%)", "{:.3f}"),
        Figure("failure_rate", "failures over 8 % (%)", "{:.2f}"),
        Figure("auc", "AUC to 8 % (%)", "{:.2f}"),
    ),
    rows="faces",
    details=_details,
)
