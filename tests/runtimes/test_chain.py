"""Models in a row: which parts of an image each looks at, and where what it found stands."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

import cvport
from cvport import Chain, Chained, Classification, Detections, InputError, Landmarks, UsageError, get_model
from cvport.runtimes import pipeline
from cvport.runtimes.chain import Stage, chain, look_at
from cvport.runtimes.commands.chains import Link, parse_chain
from cvport.runtimes.job import Timing
from cvport.runtimes.sources.base import Item, Items

BOXES = np.array([[10, 20, 50, 60], [30, 5, 90, 45]], np.float32)


class Backend:
    name, device, settings = "onnx", "cpu", {}


class Model:
    """A predictor that answers by a function, and notes what it was shown."""

    untrained, seal, assumed, backend = False, None, (), Backend()

    def __init__(self, name, answer, labels=()):
        self.spec, self.labels, self._answer = get_model(name), labels, answer
        self.calls, self.closed = [], False

    def predict_timed(self, images, *, face_boxes=None, on_error="raise"):
        self.calls.append((list(images), face_boxes))
        results = []
        for index, image in enumerate(images):
            try:
                results.append(self._answer(image, None if face_boxes is None else face_boxes[index]))
            except InputError as error:
                if on_error == "raise":
                    raise
                results.append(error)
        return results, Timing(1.0, 2.0, 3.0)

    def lane(self):
        return self

    def close(self):
        self.closed = True


def detect(boxes=BOXES, labels=("face", "hand")):
    def answer(image, _boxes):
        count = len(boxes)
        ids = np.arange(count, dtype=np.int64) % len(labels)
        return Detections(boxes, np.linspace(0.9, 0.5, count, dtype=np.float32), ids, tuple(labels[i] for i in ids))

    return Model("yolox", answer, labels)


def classify():
    def answer(image, _boxes):
        mean = np.float32(image.mean() / 255)
        return Classification(np.array([mean, 1 - mean], np.float32), ("bright", "dark"))

    return Model("emotion", answer, ("bright", "dark"))


def points():
    def answer(_image, boxes):
        box = np.array(boxes, np.float32)
        return Landmarks(np.tile(box[:, None, :2], (1, 68, 1)), box)

    return Model("landmarks68", answer)


@pytest.fixture
def image():
    pixels = np.zeros((100, 120, 3), np.uint8)
    pixels[20:60, 10:50] = 255
    return pixels


def test_each_box_is_cut_out_and_its_result_stands_in_it(image):
    first, second = detect(), classify()
    result = chain(first, second)(image)
    assert isinstance(result, Chained)
    ((crops, _),) = second.calls
    assert [crop.shape for crop in crops] == [(40, 40, 3), (40, 60, 3)]
    np.testing.assert_array_equal(crops[0], image[20:60, 10:50])
    content = result.to_dict()["detections"]
    assert content[0]["box"] == [10, 20, 50, 60]
    assert content[0]["then"] == {
        "model": "emotion",
        "scores": [{"label": "bright", "score": 1.0}, {"label": "dark", "score": 0.0}],
    }
    assert content[1]["then"]["scores"][0]["label"] == "dark"
    assert (result.kind, len(result)) == ("detections", 2)


def test_regions_of_all_images_run_together(image):
    first, second = detect(), classify()
    results, timing = chain(first, second).predict_timed([image, image])
    assert [len(images) for images, _ in second.calls] == [4]
    assert len(results) == 2
    assert timing == Timing(3.0, 6.0, 9.0), "two regions an image"


def test_a_model_that_takes_boxes_looks_at_them_in_the_image(image):
    first, second, third = detect(), points(), classify()
    content = chain(first, second, third)(image).to_dict()["detections"]
    ((images, boxes),) = second.calls
    assert all(shown is image for shown in images)
    np.testing.assert_array_equal(np.concatenate(boxes), BOXES)
    then = content[1]["then"]
    assert (then["model"], then["faces"][0]["landmarks"][5]) == ("landmarks68", [30.0, 5.0])
    assert then["faces"][0]["then"]["model"] == "emotion"


def test_only_the_classes_that_were_chosen_go_on(image):
    content = chain(detect(), classify(), classes=["hand"])(image).to_dict()["detections"]
    assert ["then" in entry for entry in content] == [False, True]
    with pytest.raises(UsageError, match="no class 'foot'"):
        chain(detect(), classify(), classes=["foot"])


@pytest.mark.parametrize("margin", [0.0, 0.25])
def test_margin_is_the_next_model_s(image, margin):
    second = classify()
    object.__setattr__(second, "spec", second.spec.__class__(**{**vars(second.spec), "margin": margin}))
    chain(detect(), second)(image)
    shapes = [crop.shape[:2] for crop in second.calls[0][0]]
    assert shapes == ([(40, 40), (40, 60)] if not margin else [(60, 60), (55, 90)]), "and ends with the image"


def test_boxes_found_in_a_region_are_those_of_the_image(image):
    inner = detect(np.array([[1, 2, 3, 4]], np.float32))
    found, _ = look_at(inner, [image], [BOXES[0]])
    np.testing.assert_array_equal(found[0].boxes, [[11, 22, 13, 24]])


def test_a_box_without_pixels_costs_itself(image):
    boxes = np.array([[10, 20, 50, 60], [119.5, 5, 119.5, 5]], np.float32)
    content = chain(detect(boxes), classify())(image).to_dict()["detections"]
    assert "scores" in content[0]["then"]
    assert content[1]["then"]["error"]["code"] == 3
    assert "holds no pixel" in content[1]["then"]["error"]["message"]


def test_nothing_found_asks_nobody(image):
    second = classify()
    assert chain(detect(np.zeros((0, 4), np.float32)), second)(image).to_dict() == {"detections": []}
    assert second.calls == []


def test_a_bad_image_costs_itself(image, tmp_path):
    def answer(given, _boxes):
        if not isinstance(given, np.ndarray):
            raise InputError(f"no such file: {given}")
        return detect()._answer(given, None)

    first = Model("yolox", answer, ("face", "hand"))
    models = chain(first, classify())
    results, _ = models.predict_timed([image, tmp_path / "gone.png"], on_error="return")
    assert isinstance(results[0], Chained)
    assert isinstance(results[1], InputError)
    with pytest.raises(InputError, match="no such file"):
        models(tmp_path / "gone.png")


def test_a_chain_runs_as_a_predictor_does(image):
    got = []

    class Sink:
        def __enter__(self):
            return self

        def __exit__(self, *exc):
            pass

        def write(self, prediction):
            got.append(prediction.to_dict())

        def fail(self, failure):
            raise AssertionError(failure)

    items = Items([Item(f"{i}.png", image) for i in range(5)])
    summary = pipeline.run(items, chain(detect(), classify()), [Sink()], workers=2)
    assert (summary.images, [entry["source"] for entry in got]) == (5, [f"{i}.png" for i in range(5)])
    assert json.dumps(got[4]["detections"][0]["then"])


def test_a_chain_makes_sense():
    with pytest.raises(UsageError, match="emotion finds classes, no boxes for yolox"):
        chain(classify(), detect())
    with pytest.raises(UsageError, match="two models at least"):
        Chain([Stage(detect())])


def test_closing_closes_all():
    models = [detect(), points(), classify()]
    with chain(*models):
        pass
    assert all(model.closed for model in models)


def test_results_that_do_not_belong_together_are_refused():
    with pytest.raises(InputError, match="has 1 entries"):
        Chained(detect()._answer(None, None), "emotion", (None,))


def test_all_is_drawn_together(image):
    result = chain(detect(), points(), classify())(image)
    first = cvport.draw(image, result.result)
    every = cvport.draw(image, result)
    assert (first != every).any(axis=2).sum() > 50
    # The colour of the box stays that of its class.
    edge = (slice(20, 60), slice(10, 11))
    np.testing.assert_array_equal(cv2.absdiff(first[edge], every[edge])[10:20].max(), 0)


# --- the option


def test_what_the_option_means():
    assert parse_chain("nanodet:face+hand, landmarks68,a/b.onnx", None) == [
        Link("nanodet", ("face", "hand")),
        Link("landmarks68"),
        Link("a/b.onnx"),
    ]
    assert parse_chain("a.onnx:face,b", "x.pth,ms:org/model") == [
        Link("a.onnx", ("face",), "x.pth"),
        Link("b", (), "ms:org/model"),
    ]


@pytest.mark.parametrize(
    ("text", "weights", "message"),
    [
        ("yolox", None, "names one model"),
        ("yolox,,emotion", None, "a name is missing"),
        (":face,emotion", None, "a name is missing"),
        ("yolox:+,emotion", None, "a name is missing"),
        ("yolox,emotion", "one.pth", "2 models, --weights 1 entries"),
    ],
)
def test_what_the_option_cannot_mean(text, weights, message):
    with pytest.raises(UsageError, match=message):
        parse_chain(text, weights)
