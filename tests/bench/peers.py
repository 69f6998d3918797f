"""Each stage beside the straightforward numpy way and beside rtmlib's YOLOX: same picture, network and thresholds."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np

from cvport.models.yolox.preprocess import PreprocessParams, params_for, preprocess

from . import textbook
from .figures import Lap, Row, Section, Stopwatch, compare, in_turns, timed
from .subjects import (
    NETWORKS,
    ONE_THREAD,
    SCENE,
    Scene,
    concatenated_file,
    one_thread,
    one_thread_session,
    photo,
    scene,
)

_FIVE_TIMES_FASTER = 0.2
_BOTH_BESIDE_RTMLIB = 0.6
_FASTER = 1.0


def measure_peers(quick: bool) -> Section:
    """Measure each stage beside its peers."""
    rows, details = [], {}
    runs = 20 if quick else 100
    with one_thread():
        for size in NETWORKS:
            stage = scene(size)
            rtmlib = _Rtmlib(size, stage)
            parts = in_turns({"own": stage.run, "textbook": _textbook(stage), "rtmlib": rtmlib.run}, runs)
            rows += _preprocess_rows(stage, runs)
            rows += _stage_rows(stage.name, "textbook", parts)
            rows += _stage_rows(stage.name, "rtmlib", parts, both=_BOTH_BESIDE_RTMLIB, whole=_FASTER)
            details[size] = {**stage.to_dict(), "rtmlib_boxes": rtmlib.boxes}
    notes = [
        SCENE,
        f"{ONE_THREAD}; pictures as Megvii's networks take them: not normalised, but where the table says so",
        "rtmlib runs the file that it is made for: sigmoids and concatenation are inside, and count as network",
        "rtmlib gives a box once for each of its classes over the threshold",
    ]
    return Section("beside the textbook and rtmlib", rows, notes, details=details)


def _stage_rows(
    name: str, peer: str, parts: dict[str, dict[str, Any]], both: float | None = None, whole: float | None = None
) -> list[Row]:
    own, other = parts["own"], parts[peer]
    return [
        compare(f"{name}: preprocess", peer, other["pre"], own["pre"]),
        compare(f"{name}: postprocess", peer, other["post"], own["post"]),
        compare(f"{name}: both", peer, other["pre+post"], own["pre+post"], both),
        compare(f"{name}: picture to detections", peer, other["total"], own["total"], whole),
    ]


def _preprocess_rows(stage: Scene, runs: int) -> list[Row]:
    """Compare preprocessing that normalises with the formula, and make sure that both give the same bits."""
    params = params_for("easycv", stage.predictor.preprocess_params.input_size)
    buffer = np.empty((3, *params.input_size), dtype=np.float32)
    expected, _ = textbook.preprocess(photo(), params)
    same = np.array_equal(expected[0], preprocess(photo(), params, out=buffer)[0])
    work = {
        "own": timed(lambda: preprocess(photo(), params, out=buffer)),
        "textbook": timed(lambda: textbook.preprocess(photo(), params)),
    }
    parts = in_turns(work, 2 * runs)
    what = f"{stage.name}: normalising preprocess, {'same' if same else 'OTHER'} bits"
    return [compare(what, "textbook", parts["textbook"]["total"], parts["own"]["total"], _FIVE_TIMES_FASTER)]


def _textbook(stage: Scene) -> Callable[[], Lap]:
    """Return the textbook's pipeline around the same session."""
    watch = Stopwatch()
    network = watch.around(stage.predictor.backend.run)
    params: PreprocessParams = stage.predictor.preprocess_params

    def pipeline() -> None:
        inputs, ratio = textbook.preprocess(photo(), params)
        textbook.postprocess(network({"input": inputs}), ratio, stage.params)

    return lambda: watch.lap(pipeline)


class _Rtmlib:
    """rtmlib's YOLOX with a session of one thread."""

    def __init__(self, size: str, stage: Scene) -> None:
        from rtmlib import YOLOX

        path = concatenated_file(size)
        with contextlib.redirect_stdout(io.StringIO()):
            self._detector = YOLOX(
                str(path),
                model_input_size=stage.predictor.preprocess_params.input_size,
                mode="multiclass",
                nms_thr=stage.params.iou_threshold,
                score_thr=stage.params.score_threshold,
                backend="onnxruntime",
            )
        self._watch = Stopwatch()
        self._detector.session = _WatchedSession(one_thread_session(path), self._watch)
        self.boxes = len(self._detector(photo())[0])

    def run(self) -> Lap:
        """Detect what is in the photograph."""
        return self._watch.lap(lambda: self._detector(photo()))


class _WatchedSession:
    """What rtmlib uses of a session; its times are noted."""

    def __init__(self, session: Any, watch: Stopwatch) -> None:
        self.get_inputs, self.get_outputs = session.get_inputs, session.get_outputs
        self.run = watch.around(session.run)
