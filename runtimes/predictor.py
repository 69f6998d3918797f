"""From images to results: preprocessing, a backend, postprocessing."""

from __future__ import annotations

import copy
import threading
import time
from contextlib import nullcontext
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from ..errors import ArtifactError, InputError, UsageError, did_you_mean
from .arguments import boxes_by_image, boxes_of, class_ids
from .job import Job, Region, Timing, memory_told
from .kinds.registry import get_kind
from .settings import with_settings
from .sources.images import as_image
from .stream import answers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Self

    from numpy.typing import NDArray

    from ..models.results import Result
    from ..models.spec import ModelSpec
    from .arguments import Boxes
    from .backends.base import Array, Backend
    from .seal import Seal
    from .sources.base import Item, Source

    Image = str | Path | NDArray[np.uint8]
    OnError = Literal["raise", "return"]

# Larger batches are run in pieces: on a CPU they gain nothing, and memory stays bounded.
_MAX_BATCH = 8
_ON_ERROR = ("raise", "return")


class Predictor:
    """A model on a backend. Call it with an image.

    Several threads may call it; one of them then waits for another. `lane` gives a predictor of the same backend for
    each thread, so that they prepare and decode side by side.

    Attributes:
        spec: The model.
        backend: Where the network runs.
        labels: Class names.
        preprocess_params: Parameters of the model's preprocessing.
        postprocess_params: Parameters of the model's postprocessing, thresholds among them.
        untrained: Whether the weights are made up.
        seal: The seal of the exported file; None where the network was built from a model's name.
        file: The exported file; None likewise.
        assumed: What was guessed about the weights, for people.
        classes: Class ids that are reported; None for all.
        batch_size: Rows that the network gets at most in one run. None leaves it at 8 images, which are as fast as
            more on a CPU; the faces of one image then stay together, however many they are.

    """

    __slots__ = (
        "_batch",
        "_buffer",
        "_closed",
        "_mine",
        "_postprocess",
        "_preprocess",
        "_sealed",
        "_turn",
        "assumed",
        "backend",
        "batch_size",
        "classes",
        "file",
        "labels",
        "postprocess_params",
        "preprocess_params",
        "seal",
        "spec",
        "untrained",
    )

    def __init__(
        self,
        spec: ModelSpec,
        backend: Backend,
        preprocess_params: Any,  # noqa: ANN401
        postprocess_params: Any,  # noqa: ANN401
        labels: Sequence[str],
        *,
        batch: str | int = "dynamic",
        untrained: bool = False,
        seal: Seal | None = None,
        file: Path | None = None,
        assumed: Sequence[str] = (),
    ) -> None:
        self.spec = spec
        self.backend = backend
        self.preprocess_params = preprocess_params
        self.postprocess_params = postprocess_params
        self.labels = tuple(labels)
        self.untrained = untrained
        self.seal = seal
        self.file = file
        self.assumed = tuple(assumed)
        self.classes: Sequence[int] | None = None
        self.batch_size: int | None = None
        self._batch = batch
        self._sealed = postprocess_params
        self._mine = threading.Lock()  # the input buffer is used by one thread at a time
        self._turn = None if backend.parallel else threading.Lock()  # so is this backend, shared with the lanes
        self._closed = threading.Event()  # as are all lanes when their backend is
        self._preprocess = spec.preprocess
        self._postprocess = spec.postprocess
        self._buffer = np.empty((0, 3, *preprocess_params.input_size), dtype=np.float32)

    @property
    def score_threshold(self) -> float:
        """The score below which detections are dropped; only detectors have it."""
        return self._setting("score_threshold")

    @score_threshold.setter
    def score_threshold(self, value: float) -> None:
        self.postprocess_params = self._with_settings(score_threshold=value)

    @property
    def iou_threshold(self) -> float:
        """The IoU above which non-maximum suppression drops a detection; only detectors have it."""
        return self._setting("iou_threshold")

    @iou_threshold.setter
    def iou_threshold(self, value: float) -> None:
        self.postprocess_params = self._with_settings(iou_threshold=value)

    def __call__(
        self,
        image: Image,
        *,
        face_boxes: Boxes | None = None,
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
    ) -> Result:
        """Return what the model finds in one image.

        Args:
            image: A path, or (h, w, 3) uint8 BGR pixels.
            face_boxes: For models that look at faces: (F, 4) x1 y1 x2 y2 in pixels of the image, all run together, or
                one box of four numbers; None takes the whole image for one face.
            score_threshold: For this call, instead of the predictor's.
            iou_threshold: For this call, instead of the predictor's.

        Raises:
            InputError: The image or a box cannot be used.
            UsageError: The model takes no boxes, or has no such threshold.
            ArtifactError: The network's outputs are not finite.

        """
        boxes = None if face_boxes is None else [face_boxes]
        return self.predict_batch(
            [image], face_boxes=boxes, score_threshold=score_threshold, iou_threshold=iou_threshold
        )[0]

    @overload
    def predict_batch(
        self,
        images: Sequence[Image],
        *,
        face_boxes: Sequence[Boxes | None] | None = None,
        on_error: Literal["raise"] = "raise",
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
    ) -> list[Result]: ...

    @overload
    def predict_batch(
        self,
        images: Sequence[Image],
        *,
        face_boxes: Sequence[Boxes | None] | None = None,
        on_error: OnError,
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
    ) -> list[Result | InputError]: ...

    def predict_batch(
        self,
        images: Sequence[Image],
        *,
        face_boxes: Sequence[Boxes | None] | None = None,
        on_error: OnError = "raise",
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
    ) -> list[Result] | list[Result | InputError]:
        """Return what the model finds in each image; see `predict_timed`."""
        results: list[Any] = self.predict_timed(
            images,
            face_boxes=face_boxes,
            on_error=on_error,
            score_threshold=score_threshold,
            iou_threshold=iou_threshold,
        )[0]
        return results

    def predict_timed(
        self,
        images: Sequence[Image],
        *,
        face_boxes: Sequence[Boxes | None] | None = None,
        on_error: OnError = "raise",
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
    ) -> tuple[list[Result | InputError], Timing]:
        """Return the results, and the mean time per image.

        Args:
            images: Paths or (h, w, 3) uint8 BGR arrays.
            face_boxes: The boxes of each image, as `__call__` takes them.
            on_error: "return" puts an InputError in the place of the result of an image that cannot be used, or whose
                boxes cannot; "raise" raises the first.
            score_threshold: For this call, instead of the predictor's.
            iou_threshold: For this call, instead of the predictor's.

        Raises:
            InputError: An image or a box cannot be used, and errors are raised.
            UsageError: The model takes no boxes, or has no such threshold; or the predictor is closed.
            ArtifactError: The network's outputs are not finite.

        """
        if on_error not in _ON_ERROR:
            raise UsageError(f"there is no on_error {on_error!r}", did_you_mean(str(on_error), _ON_ERROR))
        if self._closed.is_set():
            raise UsageError(f"this predictor of {self.spec.name} is closed", "Load it again, or close it later.")
        params = self._with_settings(score_threshold=score_threshold, iou_threshold=iou_threshold)
        job = Job(len(images), params, collects=on_error == "return")
        regions = self._regions(job, images, face_boxes)
        size = self._rows_at_once([part for part in regions if part is not None])
        flat = [(index, region) for index, parts in enumerate(regions) for region in parts or ()]
        for start in range(0, len(flat), size):
            self._run_or_split(job, flat[start : start + size])
        join = None if face_boxes is None else get_kind(self.spec.kind).join
        results: list[Any] = [
            error or (found[0] if join is None else join(found, self.spec))
            for error, found in zip(job.errors, job.found, strict=True)
        ]
        return results, job.timing()

    def stream(
        self,
        source: Source | str | Path | Iterable[str | Path],
        *,
        on_error: OnError = "raise",
        batch_size: int | None = None,
        workers: int = 2,
    ) -> Iterator[tuple[Item, Result | InputError]]:
        """Yield each item of a source with what was found in it, in order; few images are in memory at a time.

        Items are read, prepared and decoded in threads, beside the run of the network.

        Args:
            source: A file, folder, pattern, video or address, several of them, or a `Source`.
            on_error: "return" yields an InputError in the place of the result of an item that cannot be used, "raise"
                raises the first.
            batch_size: Items that run together; None is the model's own choice.
            workers: Threads.

        Raises:
            InputError: An item cannot be used, and errors are raised.
            ArtifactError: The network's outputs are not finite.

        """
        from .sources.registry import as_source

        if on_error not in _ON_ERROR:
            raise UsageError(f"there is no on_error {on_error!r}", did_you_mean(str(on_error), _ON_ERROR))
        size = batch_size or self.spec.batch_size
        for batch in answers(as_source(source), self, batch_size=size, workers=workers):
            for answer in batch:
                if on_error == "raise" and isinstance(answer.result, InputError):
                    raise answer.result
                yield answer.item, answer.result

    @property
    def members(self) -> tuple[Self, ...]:
        """The models that run: this one; a chain has several."""
        return (self,)

    def lane(self) -> Self:
        """Return a predictor for another thread, with the same backend and settings; it is not closed by itself."""
        other = copy.copy(self)
        other._buffer = self._buffer[:0].copy()
        other._mine = threading.Lock()
        return other

    def prepare(self, regions: Sequence[Region]) -> tuple[Array, list[Any]]:
        """Return the (N, 3, H, W) float32 network input of some images or parts of them, and their transforms.

        A transform maps what is found in a row back to its image. The array is reused by the next call. Where the file
        has a fixed batch, the rest of it is filled with zeros.

        Raises:
            InputError: A box cannot be used.

        """
        rows = self._rows(len(regions))
        transforms = [self._fill(region, row) for region, row in zip(regions, rows, strict=False)]
        return self._finish(rows, len(regions)), transforms

    def close(self) -> None:
        """Release the backend, for the lanes too; closing again does nothing."""
        self._closed.set()
        self.backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def adjust(self, changes: Mapping[str, Any], classes: Sequence[str | int] | str | None = None) -> None:
        """Set what a user wants otherwise than the model's defaults.

        Args:
            changes: Postprocessing parameters by name; None leaves one as it is.
            classes: Names or numbers of the classes to report; None leaves them.

        Raises:
            UsageError: The model has no such parameter or class, or a value makes no sense.

        """
        extra = () if classes is None or get_kind(self.spec.kind).selects_classes else ("classes",)
        self.postprocess_params = self._with_settings(*extra, **changes)
        if classes is not None:
            names = [classes] if isinstance(classes, str) else classes
            self.classes = class_ids(names, self.labels, self.spec.translations)

    def _setting(self, name: str) -> float:
        if name not in {field.name for field in fields(self.postprocess_params)}:
            raise AttributeError(f"{self.spec.name} has no {name}")
        value: float = getattr(self.postprocess_params, name)
        return value

    def _with_settings(self, *foreign: str, **changes: Any) -> Any:  # noqa: ANN401
        """Return the postprocessing parameters with changes; see `with_settings`."""
        return with_settings(self.spec, self.postprocess_params, self._sealed, changes, foreign)

    def _regions(
        self, job: Job, images: Sequence[Image], face_boxes: Sequence[Boxes | None] | None
    ) -> list[list[Region] | None]:
        """Return what of each image goes through the network; None for an image that cannot be used."""
        boxes: Sequence[Any] = [None] * len(images)
        if face_boxes is not None:
            if not self.spec.takes_boxes or get_kind(self.spec.kind).join is None:
                raise UsageError(f"{self.spec.name} looks at whole images, not at faces", "Leave the face boxes out.")
            boxes = boxes_by_image(face_boxes, len(images))
        regions: list[list[Region] | None] = []
        for index, (image, given) in enumerate(zip(images, boxes, strict=True)):
            regions.append(None)
            with job.guard(index):
                pixels = as_image(image)
                places = [None] if given is None else boxes_of(given)
                regions[index] = [Region(pixels, box) for box in places]
        return regions

    def _run_or_split(self, job: Job, rows: Sequence[tuple[int, Region]]) -> None:
        """Run one batch; where there is not enough memory for it, each row by itself, and that costs what it costs."""
        try:
            with self._mine, memory_told():
                self._run(job, rows)
        except InputError as error:
            if len(rows) == 1:
                job.keep(rows[0][0], error)
                return
            for row in rows:
                self._run_or_split(job, [row])

    def _run(self, job: Job, rows: Sequence[tuple[int, Region]]) -> None:
        """Run one batch: rows of images by their index."""
        start = time.perf_counter()
        array = self._rows(len(rows))
        indices: list[int] = []
        transforms: list[Any] = []
        for index, region in rows:
            with job.guard(index):
                transforms.append(self._fill(region, array[len(indices)]))
                indices.append(index)
        if not indices:
            return
        inputs = {self.spec.input_name: self._finish(array, len(indices))}
        prepared = time.perf_counter()
        with self._turn or nullcontext():
            self.backend.warm_up(inputs)
            warm = self.backend.is_warm(inputs)
            started = time.perf_counter()
            outputs = self.backend.run(inputs)
            ran = time.perf_counter()
        self._check_finite(outputs)
        choice = {} if self.classes is None else {"classes": self.classes}
        with np.errstate(over="ignore", invalid="ignore"):  # boxes of numbers near the end of float32
            results = self._postprocess(outputs, transforms, job.params, self.labels, **choice)
        for index, result in zip(indices, results, strict=True):
            job.found[index].append(result)
        job.add((prepared - start, ran - started, time.perf_counter() - ran), warm=warm)

    def _rows(self, count: int) -> Array:
        """Return rows of the input buffer, at least so many."""
        rows = count if self._batch == "dynamic" else int(self._batch)
        if len(self._buffer) < rows:
            self._buffer = np.zeros((rows, 3, *self.preprocess_params.input_size), dtype=np.float32)
        return self._buffer[:rows]

    def _fill(self, region: Region, row: Array) -> Any:  # noqa: ANN401
        """Write the network input of a region into a row, and return the transform back to its image."""
        return self._preprocess(region.image, self.preprocess_params, out=row, **region.place())[1]

    def _finish(self, rows: Array, count: int) -> Array:
        """Return the network input of which the first rows were filled."""
        if self._batch == "dynamic":
            return rows[:count]
        rows[count:] = 0
        return rows

    def _rows_at_once(self, regions: Sequence[Sequence[Region]]) -> int:
        if self._batch != "dynamic":
            return int(self._batch)
        return self.batch_size or max(_MAX_BATCH, *map(len, regions), 1)

    def _check_finite(self, outputs: Mapping[str, Array]) -> None:
        # A sum of squares is not finite if any term is not: one fast pass without a temporary array.
        broken = [name for name, values in outputs.items() if not np.isfinite(np.vdot(values, values))]
        if broken:
            raise ArtifactError(
                f"the network gives values that are not finite in {', '.join(broken)}",
                "Its weights are damaged; export again from a good checkpoint.",
            )
