"""From pictures to results: preprocessing, a backend, postprocessing."""

from __future__ import annotations

import time
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from ..errors import ArtifactError, InputError, UsageError, WeightsError, did_you_mean
from ..models.lazy import resolve
from ..models.registry import get_model
from ..models.spec import VariantOptions
from .backends.onnx import OnnxBackend
from .backends.registry import BACKENDS, choose_backend
from .kinds.registry import get_kind
from .seal import Seal, read_params
from .sources.images import as_image

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from numpy.typing import NDArray

    from ..models.results import Result
    from ..models.spec import ModelSpec
    from ..models.weights.checkpoint import Checkpoint
    from .backends.registry import Array, Backend

    Image = str | Path | NDArray[np.uint8]
    Box = Sequence[float] | NDArray[np.floating]

ARTIFACTS = Path("artifacts")

# Larger batches are run in pieces: on a CPU they gain nothing, and memory stays bounded.
_MAX_BATCH = 8
_BOX_SIDES = 4


class View(NamedTuple):
    """What one row of a batch shows.

    Attributes:
        image: (h, w, 3) uint8 BGR.
        box: The part of it, x1 y1 x2 y2 in pixels; None for all of it.

    """

    image: NDArray[np.uint8]
    box: Box | None = None

    def place(self) -> dict[str, Any]:
        """Return the box as preprocessing takes it."""
        return {} if self.box is None else {"box": self.box}


class Timing(NamedTuple):
    """Milliseconds an image, by stage. Reading the file and the warm-up of a new input shape are not in it."""

    preprocess: float
    network: float
    postprocess: float
    warmup: bool = False


class Predictor:
    """A model on a backend. Call it with a picture. Use one predictor a thread: it reuses its input buffer.

    Attributes:
        spec: The model.
        backend: Where the network runs.
        labels: Class names.
        preprocess_params: Parameters of the model's preprocessing.
        postprocess_params: Parameters of the model's postprocessing, thresholds among them.
        untrained: Whether the weights are made up.
        assumed: What the weights did not tell and nobody chose, such as "preprocess megvii (Megvii wrapping)".
        seal: Of the exported file; None where the network was built from a checkpoint.
        classes: Class ids that are reported; None for all.
        batch_size: Rows that the network gets at most in one run. None leaves it at 8 pictures, which are as fast as
            more on a CPU; the faces of one picture then stay together, however many they are.

    """

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
    ) -> None:
        self.spec = spec
        self.backend = backend
        self.preprocess_params = preprocess_params
        self.postprocess_params = postprocess_params
        self.labels = tuple(labels)
        self.untrained = untrained
        self.seal = seal
        self.assumed: tuple[str, ...] = ()
        self.classes: Sequence[int] | None = None
        self.batch_size: int | None = None
        self._batch = batch
        self._preprocess = spec.preprocess
        self._postprocess = spec.postprocess
        self._buffer = np.empty((0, 3, *preprocess_params.input_size), dtype=np.float32)

    def __call__(self, image: Image, *, face_boxes: Sequence[Box] | None = None) -> Result:
        """Return what the model finds in one picture.

        Args:
            image: A path, or (h, w, 3) uint8 BGR pixels.
            face_boxes: For models that look at faces: (F, 4) x1 y1 x2 y2 in pixels of the picture, all run together;
                None takes the whole picture for one face.

        """
        return self.predict_batch([image], face_boxes=None if face_boxes is None else [face_boxes])[0]

    def predict_batch(
        self, images: Sequence[Image], *, face_boxes: Sequence[Sequence[Box] | None] | None = None
    ) -> list[Result]:
        """Return what the model finds in each picture; *face_boxes* are those of each picture."""
        return self.predict_timed(images, face_boxes=face_boxes)[0]

    def predict_timed(
        self,
        images: Sequence[Image],
        *,
        face_boxes: Sequence[Sequence[Box] | None] | None = None,
        on_error: Literal["raise", "return"] = "raise",
    ) -> tuple[list[Any], Timing]:
        """Return the results, and the mean time an image.

        Args:
            images: Paths or (h, w, 3) uint8 BGR arrays.
            face_boxes: See `predict_batch`.
            on_error: "return" gives an InputError in the place of a result instead of raising it.

        Raises:
            InputError: A picture or a box cannot be used.
            UsageError: The model looks at whole pictures only.
            ArtifactError: The network's outputs are not finite.

        """
        if on_error == "return":
            return self._predict_each(images, face_boxes)
        views = self._views([as_image(image) for image in images], face_boxes)
        results: list[Any] = []
        seconds = np.zeros(3)
        size = self._rows_at_once(views)
        flat = [view for views_of_one in views for view in views_of_one]
        for chunk in (flat[start : start + size] for start in range(0, len(flat), size)):
            start = time.perf_counter()
            inputs, frames = self.prepare(chunk)
            prepared = time.perf_counter()
            self.backend.warm_up({self.spec.input_name: inputs})
            warm = time.perf_counter()
            outputs = self.backend.run({self.spec.input_name: inputs})
            self._check_finite(outputs)
            ran = time.perf_counter()
            choice = {} if self.classes is None else {"classes": self.classes}
            results += self._postprocess(outputs, frames, self.postprocess_params, self.labels, **choice)
            seconds += (prepared - start, ran - warm, time.perf_counter() - ran)
        if face_boxes is not None:
            found = iter(results)
            join = get_kind(self.spec.kind).join
            assert join is not None
            results = [join([next(found) for _ in views_of_one], self.spec) for views_of_one in views]
        return results, Timing(*(seconds * 1000 / max(len(images), 1)).tolist())

    def _predict_each(
        self, images: Sequence[Image], face_boxes: Sequence[Sequence[Box] | None] | None
    ) -> tuple[list[Any], Timing]:
        """Run all images together, or one by one where one of them cannot be used."""
        try:
            return self.predict_timed(images, face_boxes=face_boxes)
        except InputError as error:
            if len(images) == 1:
                return [error], Timing(0.0, 0.0, 0.0)
        boxes = [None] * len(images) if face_boxes is None else [[one] for one in face_boxes]
        each = [self._predict_each([image], box) for image, box in zip(images, boxes, strict=True)]
        before, during, after = (sum(timing[stage] for _, timing in each) / len(each) for stage in range(3))
        return [result for results, _ in each for result in results], Timing(before, during, after)

    def prepare(self, views: Sequence[View]) -> tuple[Array, list[Any]]:
        """Return the (N, 3, H, W) float32 network input of some pictures or parts of them, and their frames.

        The array is reused by the next call. Where the file has a fixed batch, the rest of it is filled with zeros.
        """
        rows = len(views) if self._batch == "dynamic" else int(self._batch)
        if len(self._buffer) < rows:
            self._buffer = np.zeros((rows, 3, *self.preprocess_params.input_size), dtype=np.float32)
        inputs = self._buffer[:rows]
        frames = [
            self._preprocess(view.image, self.preprocess_params, out=row, **view.place())[1]
            for view, row in zip(views, inputs, strict=False)
        ]
        inputs[len(views) :] = 0
        return inputs, frames

    def close(self) -> None:
        """Release the backend."""
        self.backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _views(
        self, images: list[NDArray[np.uint8]], face_boxes: Sequence[Sequence[Box] | None] | None
    ) -> list[list[View]]:
        """Return what of each picture goes through the network."""
        if face_boxes is None:
            return [[View(image)] for image in images]
        if not self.spec.takes_boxes:
            raise UsageError(f"{self.spec.name} looks at whole pictures, not at faces", "Leave the face boxes out.")
        return [
            [View(image)] if boxes is None else [View(image, _box(box)) for box in boxes]
            for image, boxes in zip(images, face_boxes, strict=True)
        ]

    def _rows_at_once(self, views: list[list[View]]) -> int:
        if self._batch != "dynamic":
            return int(self._batch)
        return self.batch_size or max(_MAX_BATCH, *map(len, views), 1)

    def _check_finite(self, outputs: Mapping[str, Array]) -> None:
        # A sum of squares is not finite if any term is not: one fast pass without a temporary array.
        broken = [name for name, values in outputs.items() if not np.isfinite(np.vdot(values, values))]
        if broken:
            raise ArtifactError(
                f"the network gives values that are not finite in {', '.join(broken)}",
                "Its weights are damaged; export again from a good checkpoint.",
            )


def load(
    model: str | Path,
    *,
    backend: str = "auto",
    weights: str | Path | None = None,
    options: VariantOptions | None = None,
    device: str | None = None,
    threads: int | None = None,
    score_threshold: float | None = None,
    iou_threshold: float | None = None,
    max_detections: int | None = None,
    class_agnostic: bool | None = None,
    classes: Sequence[str] | None = None,
    batch_size: int | None = None,
    precision: str | None = None,
    offline: bool = False,
    cache_dir: Path | None = None,
    artifacts: Path = ARTIFACTS,
) -> Predictor:
    """Return a predictor.

    Args:
        model: An exported .onnx file, or a model's name.
        backend: "auto", "onnx", "npu" or "torch".
        weights: For torch and npu: what to build the network from; see `cvport.models.weights.files.parse_address`.
        options: For torch or npu and a model's name: what the weights do not tell.
        device: "cpu", "cuda:0", "npu:0" ...; None for the backend's default.
        threads: Of the network; None for the backend's default.
        score_threshold: Instead of the model's default.
        iou_threshold: Instead of the model's default.
        max_detections: Instead of the model's default.
        class_agnostic: Instead of the model's default.
        classes: Report only classes of these names.
        batch_size: Rows that the network gets at most in one run; see `Predictor`.
        precision: For npu: "strict" (float32, the default), "production" (as the device computes when nothing is
            said) or "fp16".
        offline: Never use the network to find weights.
        cache_dir: Where downloaded weights are kept.
        artifacts: Where the published artifact of a model's name is looked for.

    Raises:
        BackendError: The backend or device is not available; looked at before anything else.
        UsageError: An unknown model, class or option.
        ArtifactError: The exported file is missing, foreign or damaged.
        WeightsError: The weights cannot be found or do not fit.

    """
    # An exported file alone cannot be run by what needs the network.
    name = choose_backend(backend, device, networks=weights is not None or not _is_file(model))
    _check_precision(name, precision)
    request = _Request(name, device, threads, precision, options or VariantOptions(), weights, offline, cache_dir)
    if BACKENDS[name].needs == "onnx":
        predictor = _from_file(_find_artifact(model, artifacts), request)
    elif _is_file(model):
        predictor = _from_file_and_weights(Path(model), request)
    else:
        predictor = _from_weights(get_model(str(model)), request)
    changes = {
        "score_threshold": score_threshold,
        "iou_threshold": iou_threshold,
        "max_detections": max_detections,
        "class_agnostic": class_agnostic,
    }
    _adjust(predictor, {key: value for key, value in changes.items() if value is not None}, classes)
    predictor.batch_size = batch_size
    return predictor


def _check_precision(backend: str, precision: str | None) -> None:
    known = BACKENDS[backend].precisions
    if precision is not None and precision not in known:
        hint = did_you_mean(precision, known) if known else "Only the NPU has a choice of precision; leave it out."
        raise UsageError(f"backend {backend} has no precision {precision!r}", hint)


def _adjust(predictor: Predictor, changes: Mapping[str, Any], classes: Sequence[str] | None) -> None:
    """Set what a user wants otherwise than the model's defaults."""
    known = {field.name for field in fields(predictor.postprocess_params)}
    foreign = [name for name in changes if name not in known]
    if classes is not None and not get_kind(predictor.spec.kind).selects_classes:
        foreign.append("classes")
    if foreign:
        raise UsageError(f"{predictor.spec.name} has no setting {', '.join(foreign)}", "Detectors have; leave it out.")
    try:
        predictor.postprocess_params = replace(predictor.postprocess_params, **changes)
    except ValueError as error:
        raise UsageError(f"these settings make no sense: {error}", "Thresholds are between 0 and 1.") from error
    predictor.classes = None if classes is None else _class_ids(classes, predictor.labels)


def _box(box: Box) -> Box:
    """Return a box, if it is four numbers; whether it is a place in the picture, preprocessing tells."""
    if len(box) != _BOX_SIDES:
        raise InputError(f"a face box has 4 numbers, not {len(box)}", "Give x1, y1, x2, y2 in pixels of the picture.")
    return box


class _Request(NamedTuple):
    backend: str
    device: str | None
    threads: int | None
    precision: str | None
    options: VariantOptions
    weights: str | Path | None
    offline: bool
    cache_dir: Path | None

    def open_backend(self, runnable: object) -> Any:  # noqa: ANN401
        """Open the backend on what it runs: a path, or a network."""
        target = f"{BACKENDS[self.backend].module}:open_backend"
        choice = {} if self.precision is None else {"precision": self.precision}
        return resolve(target, f"{__package__}.backends")(runnable, self.device, self.threads, **choice)

    def open_weights(self, spec: ModelSpec) -> Checkpoint:
        # Not needed to run a file, and every start would pay for it.
        from ..models.weights.files import open_weights

        return open_weights(spec, self.weights, offline=self.offline, cache_dir=self.cache_dir)


def _find_artifact(model: str | Path, artifacts: Path) -> Path:
    """Return the exported file that *model* means."""
    if _is_file(model):
        return Path(model)
    name = get_model(str(model)).name
    path = artifacts / name / f"{name}.onnx"
    if not path.is_file():
        raise ArtifactError(
            f"{name} has not been exported here: there is no {path}",
            f"Export it: cvexport {name}  (untrained, to try it out: cvexport {name} --weights seeded)",
        )
    return path


def _is_file(model: str | Path) -> bool:
    return isinstance(model, Path) or model.lower().endswith(".onnx")


def _from_file(path: Path, request: _Request) -> Predictor:
    """Return a predictor of an exported file, from what is sealed in it alone."""
    if request.options != VariantOptions():
        raise UsageError(
            "the input size, preprocessing, activation and labels are fixed in an exported file",
            "Export it again with these options, or run --backend torch with --weights.",
        )
    backend = request.open_backend(path)
    spec, seal = read_seal(backend.metadata, path)
    if request.weights is not None:
        _check_origin(seal, request.weights, path)
    if list(spec.output_names) != backend.outputs or backend.inputs != [spec.input_name]:
        raise ArtifactError(f"{path} has not the inputs and outputs of {spec.name}", "Export it again: cvexport MODEL")
    return _sealed_predictor(spec, seal, path, backend, batch=seal.batch)


def _from_file_and_weights(path: Path, request: _Request) -> Predictor:
    """Return a predictor of the network that an exported file was made from, with what is sealed in the file."""
    with OnnxBackend(path) as reader:
        spec, seal = read_seal(reader.metadata, path)
    sealed = seal.weights.get("sha256")
    if request.weights is None:
        raise WeightsError(
            f"{request.backend} runs the network, not {path.name}, and needs the weights it was made from",
            f"Give them: --weights FILE ({seal.weights.get('origin')}, sha256 {sealed})",
        )
    if request.options != VariantOptions():
        raise UsageError("the variant is fixed in an exported file", "Leave the options out, or give the model's name.")
    checkpoint = request.open_weights(spec)
    if checkpoint.sha256 != sealed:
        raise WeightsError(
            f"{request.weights} are not the weights that {path} was made from",
            f"Sealed sha256 {sealed}, these have {checkpoint.sha256}.",
        )
    plan = spec.plan(checkpoint, VariantOptions(activation=seal.variant.get("activation")))
    backend = request.open_backend(spec.fuse(spec.build_network(checkpoint.state, plan.variant)))
    return _sealed_predictor(spec, seal, path, backend)


def _from_weights(spec: ModelSpec, request: _Request) -> Predictor:
    """Return a predictor of a network built from weights."""
    checkpoint = request.open_weights(spec)
    plan = spec.plan(checkpoint, request.options)
    backend = request.open_backend(spec.fuse(spec.build_network(checkpoint.state, plan.variant)))
    return Predictor(spec, backend, plan.preprocess, plan.postprocess, plan.labels, untrained=checkpoint.untrained)


def _check_origin(seal: Seal, weights: str | Path, path: Path) -> None:
    """Refuse weights that the file was not made from; they would be ignored without a word."""
    from ..models.weights.checkpoint import find_checkpoint
    from ..models.weights.digest import sha256_file
    from ..models.weights.files import LocalFile, parse_address

    address = parse_address(weights)
    if isinstance(address, LocalFile):
        same = sha256_file(find_checkpoint(address.path, str(address))) == seal.weights.get("sha256")
    else:
        same = str(address) == seal.weights.get("origin")
    if not same:
        raise WeightsError(
            f"{path} was made from {seal.weights.get('origin')}, not from {weights}",
            f"Export those first (cvexport {seal.model} --weights {weights}), or run --backend torch.",
        )


def read_seal(metadata: dict[str, str], path: Path) -> tuple[ModelSpec, Seal]:
    """Return the model and the seal of an exported file.

    Raises:
        ArtifactError: There is no seal, or none that this version knows.

    """
    seal = Seal.from_metadata(metadata, path)
    try:
        return get_model(seal.model), seal
    except UsageError as error:
        raise ArtifactError(f"{path} holds {seal.model!r}, a model unknown to this version", error.hint) from error


def _sealed_predictor(
    spec: ModelSpec, seal: Seal, path: Path, backend: Backend, batch: str | int = "dynamic"
) -> Predictor:
    preprocess_type, postprocess_type = spec.params_types
    return Predictor(
        spec,
        backend,
        read_params(preprocess_type, seal.preprocess, f"the sealed preprocessing of {path}"),
        read_params(postprocess_type, seal.postprocess, f"the sealed postprocessing of {path}"),
        seal.labels,
        batch=batch,
        untrained=seal.untrained,
        seal=seal,
    )


def _class_ids(names: Sequence[str], labels: Sequence[str]) -> list[int]:
    """Return the ids of classes given by name or by number."""
    ids = []
    for name in names:
        if name in labels:
            ids.append(labels.index(name))
        elif name.isdecimal() and int(name) < len(labels):
            ids.append(int(name))
        else:
            raise UsageError(f"there is no class {name!r}", did_you_mean(name, labels))
    return ids
