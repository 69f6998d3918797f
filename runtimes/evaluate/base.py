"""What an evaluation is: how truth of a kind of result is read, what is computed from it, and how that is shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ..sources.base import SourceOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ...models.spec import ModelSpec
    from ..arguments import Box
    from ..sinks.base import Failure
    from ..sources.base import Item


@dataclass(frozen=True)
class Request:
    """What a user wants evaluated.

    Attributes:
        spec: The model.
        labels: Its class names.
        words: Where images are, as the user named them.
        annotations: The file or folder of the truth; None where it lies beside the images.
        sources: What the user wants of sources.
        classes: Ids of the classes to evaluate; None for all.
        cropped: Whether every image is one face, so that no box is needed.

    """

    spec: ModelSpec
    labels: Sequence[str]
    words: Sequence[str]
    annotations: Path | None = None
    sources: SourceOptions = field(default_factory=SourceOptions)
    classes: Sequence[int] | None = None
    cropped: bool = False


@dataclass(frozen=True)
class Truth:
    """What is known about some images.

    Attributes:
        items: The images that have a truth, each name once.
        answers: The truth of each item by its name, in the form of the kind.
        labels: Class names by id, in the order in which they are shown; empty where the kind has no classes.
        failures: Images that cannot be evaluated: not readable, or annotated and not there.
        missing: How many of the failures, the last ones, are annotated images that are not among the sources.
        skipped: Names of images that have no truth.
        notes: What was assumed, for people.
        boxes: Where to look in each item, x1 y1 x2 y2 in pixels, by its name; None for whole images.
        sizes: Width and height of the items by their names, where the truth tells them.

    """

    items: Sequence[Item]
    answers: Mapping[str, Any]
    labels: Mapping[int, str] = field(default_factory=dict)
    failures: Sequence[Failure] = ()
    missing: int = 0
    skipped: Sequence[str] = ()
    notes: Sequence[str] = ()
    boxes: Mapping[str, Box] | None = None
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Score:
    """How good results are.

    Attributes:
        figures: Values by the names of `Evaluation.figures`; None where one is not defined.
        rows: The figures of each class or image, by their names.
        more: What else the JSON form has.

    """

    figures: Mapping[str, float | None]
    rows: Sequence[Mapping[str, Any]] = ()
    more: Mapping[str, Any] = field(default_factory=dict)


class Figure(NamedTuple):
    """A figure: its name in JSON, its title in a table, how it is written there."""

    name: str
    title: str
    form: str = "{:.4f}"


@dataclass(frozen=True)
class Evaluation:
    """How a kind of result is evaluated.

    Attributes:
        read: Reads the truth and finds its images, before anything is run. Raises UsageError where an option or a
            package is missing, InputError where the truth cannot be used.
        score: (truth, results by the names of items) -> score; items without a result are left out.
        figures: What is computed over all images, in the order of the table.
        columns: The table of `Score.rows` that ``-v`` adds; empty for none.
        rows: What `Score.rows` are called in JSON.
        settings: Postprocessing parameters for the time of the evaluation, where the user gives none.
        told: Postprocessing parameters that the figures depend on.
        details: (score) -> lines that ``-v`` adds.

    """

    read: Callable[[Request], Truth]
    score: Callable[[Truth, Mapping[str, Any]], Score]
    figures: tuple[Figure, ...]
    columns: tuple[Figure, ...] = ()
    rows: str = "classes"
    settings: Mapping[str, Any] = field(default_factory=dict)
    told: tuple[str, ...] = ()
    details: Callable[[Score], list[str]] = lambda _score: []
