"""Models in a row: each looks at what the one before it found, the boxes of all images of a batch together."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import InputError, UsageError
from ..models.results import Chained
from .arguments import class_ids
from .job import Timing
from .kinds.registry import get_kind
from .sources.images import as_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

    from numpy.typing import NDArray

    from ..models.results import Result
    from ..models.spec import ModelSpec
    from .arguments import Boxes
    from .predictor import Image, OnError, Predictor

    Found = Result | InputError


_NONE = Timing(0.0, 0.0, 0.0)


class Stage(NamedTuple):
    """One model of a chain.

    Attributes:
        predictor: What runs it, or has stored boxes.
        passes: Class ids of its detections that the next model looks at; None for all.

    """

    predictor: Any
    passes: frozenset[int] | None = None


class Chain:
    """Several models in a row. Use it as a predictor: its results are `Chained`.

    Each box that a model finds becomes a region for the next: cut out of the image with the margin that the next model
    was trained with, or looked at in the image by a model that takes boxes.

    Args:
        stages: The models, the first of which looks at whole images.

    Raises:
        UsageError: There are fewer than two, or one finds no boxes for the next.

    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        if len(stages) < 2:  # noqa: PLR2004
            raise UsageError("a chain has two models at least", "Give one more: --chain yolox,hand_static")
        for stage, after in itertools.pairwise(stages):
            if get_kind(stage.predictor.spec.kind).boxes is None:
                raise UsageError(
                    f"{stage.predictor.spec.name} finds {stage.predictor.spec.kind}, no boxes for "
                    f"{after.predictor.spec.name} to look at",
                    "Put it last; detectors come first.",
                )
        self._stages = tuple(stages)
        first = stages[0].predictor
        self.spec = first.spec
        self.backend = first.backend
        self.labels = first.labels
        self.seal = first.seal
        self.untrained = any(stage.predictor.untrained for stage in stages)
        self.assumed = tuple(text for stage in stages for text in stage.predictor.assumed)

    @property
    def members(self) -> tuple[Predictor, ...]:
        """The models that run."""
        return tuple(member for stage in self._stages for member in stage.predictor.members)

    def __call__(self, image: Image) -> Result:
        """Return what the models find in one image.

        Args:
            image: A path, or (h, w, 3) uint8 BGR pixels.

        Raises:
            InputError: The image cannot be used.

        """
        result = self.predict_timed([image], on_error="raise")[0][0]
        if isinstance(result, InputError):
            raise result
        return result

    def predict_timed(
        self, images: Sequence[Image], *, face_boxes: Sequence[Boxes | None] | None = None, on_error: OnError = "raise"
    ) -> tuple[list[Found], Timing]:
        """Return the results and the mean time per image of all models together; see `Predictor.predict_timed`.

        What a later model cannot use costs that region alone: its error stands in the place of its result.
        """
        pixels = [_pixels(image) for image in images]
        first = self._stages[0].predictor
        found, timing = first.predict_timed(
            [image if error is None else given for given, (image, error) in zip(images, pixels, strict=True)],
            face_boxes=face_boxes,
            on_error=on_error,
        )
        found, spent = self._extend([image for image, _ in pixels], found, 1)
        ran = sum(not isinstance(result, InputError) for result in found)
        return found, timing.plus(spent, 1 / max(1, ran))

    def _extend(
        self, images: Sequence[NDArray[np.uint8]], found: Sequence[Found], level: int
    ) -> tuple[list[Found], Timing]:
        """Let the next models look at what was found in some images; return that, and the time of all of it."""
        if level == len(self._stages):
            return list(found), _NONE
        before, predictor = self._stages[level - 1], self._stages[level].predictor
        regions = [(index, *region) for index, result in enumerate(found) for region in _regions(before, result)]
        shown = [images[index] for index, _, _ in regions]
        looked, timing = look_at(predictor, shown, [box for _, _, box in regions])
        looked, spent = self._extend(shown, looked, level + 1)
        nested: list[dict[int, Found]] = [{} for _ in found]
        for (index, entry, _), result in zip(regions, looked, strict=True):
            nested[index][entry] = result
        joined: list[Found] = [
            result
            if isinstance(result, InputError)
            else Chained(result, predictor.spec.name, tuple(then.get(entry) for entry in range(len(result))))
            for result, then in zip(found, nested, strict=True)
        ]
        return joined, spent.plus(timing, len(regions))

    def lane(self) -> Self:
        """Return a chain for another thread."""
        return type(self)([stage._replace(predictor=stage.predictor.lane()) for stage in self._stages])

    def close(self) -> None:
        """Release all backends."""
        for stage in self._stages:
            stage.predictor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def chain(first: Predictor, *rest: Predictor, classes: Sequence[str | int] | None = None) -> Chain:
    """Return several models in a row, each of which looks at the boxes of the one before it.

    Args:
        first: Looks at whole images, and finds boxes.
        rest: The others in their order.
        classes: Names or numbers of the first one's classes that the next looks at; None for all.

    Raises:
        UsageError: One finds no boxes for the next, or there is no such class.

    """
    passes = None if classes is None else frozenset(class_ids(classes, first.labels, first.spec.translations))
    return Chain([Stage(first, passes), *(Stage(predictor) for predictor in rest)])


def look_at(
    predictor: Predictor, images: Sequence[NDArray[np.uint8]], boxes: Sequence[NDArray[np.float32] | None]
) -> tuple[list[Found], Timing]:
    """Return what a model finds in parts of images, in pixels of the whole images, and the mean time of a part.

    Args:
        predictor: What runs it.
        images: The image of each part, (h, w, 3) uint8 BGR.
        boxes: x1 y1 x2 y2 of each part; None for all of its image.

    """
    if not images:
        return [], _NONE
    if predictor.spec.takes_boxes:
        places = [None if box is None else [box] for box in boxes]
        return predictor.predict_timed(images, face_boxes=places, on_error="return")
    parts = [_cut(image, box, predictor.spec) for image, box in zip(images, boxes, strict=True)]
    crops = [part[0] for part in parts if not isinstance(part, InputError)]
    found, timing = predictor.predict_timed(crops, on_error="return")
    shift = get_kind(predictor.spec.kind).shift
    results = iter(found)
    answers: list[Found] = []
    for part in parts:
        result = part if isinstance(part, InputError) else next(results)
        if not isinstance(part, InputError) and not isinstance(result, InputError):
            result = shift(result, part[1])
        answers.append(result)
    return answers, timing


def _cut(
    image: NDArray[np.uint8], box: NDArray[np.float32] | None, spec: ModelSpec
) -> tuple[NDArray[np.uint8], tuple[int, int]] | InputError:
    """Return the part of an image in a box with the model's margin, and where its corner lies."""
    if box is None:
        return image, (0, 0)
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (float(side) for side in box)
    across, down = spec.margin * (x2 - x1), spec.margin * (y2 - y1)
    left, top = max(0, math.floor(x1 - across)), max(0, math.floor(y1 - down))
    right, bottom = min(width, math.ceil(x2 + across)), min(height, math.ceil(y2 + down))
    if right <= left or bottom <= top:
        return InputError(f"the box {x1:.1f},{y1:.1f},{x2:.1f},{y2:.1f} holds no pixel of the image", "Leave it out.")
    return np.ascontiguousarray(image[top:bottom, left:right]), (left, top)


def _regions(stage: Stage, result: Found) -> Iterator[tuple[int, NDArray[np.float32] | None]]:
    """Yield number and box of each entry that the next model looks at."""
    boxes_of = get_kind(stage.predictor.spec.kind).boxes
    if isinstance(result, InputError) or boxes_of is None:
        return
    ids = getattr(result, "class_ids", None)
    for entry, box in enumerate(boxes_of(result)):
        if stage.passes is None or (ids is not None and int(ids[entry]) in stage.passes):
            yield entry, box


def _pixels(image: Image) -> tuple[NDArray[np.uint8], InputError | None]:
    """Return the pixels of an image, or none and why; the first model says so again."""
    try:
        return as_image(image), None
    except InputError as error:
        return np.empty((0, 0, 3), np.uint8), error
