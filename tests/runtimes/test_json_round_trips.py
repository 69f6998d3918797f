"""What is written as JSON is read back as it was: results of every kind, boxes, seals."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from cvport import get_model
from cvport.models.fields import MOST
from cvport.models.results import Classification, Detections, Landmarks
from cvport.models.yolox.postprocess import PostprocessParams
from cvport.models.yolox.preprocess import PreprocessParams
from cvport.runtimes.parity.stored import StoredResults
from cvport.runtimes.plain_json import read_plain
from cvport.runtimes.seal import Seal, sealed_params
from cvport.runtimes.sources.base import Item
from cvport.runtimes.stored import StoredBoxes
from fuzz.seals import seal_of
from fuzz.texts import TextFile

pixels = st.floats(-1e4, 1e4, width=32)
scores = st.floats(0, 1, width=32)
# Any text that can be written: without halves of surrogate pairs.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def stored(name, result, form):
    """A result, written as `cvrun` does and read again for a model."""
    row = {"source": "a.png", "width": 9, "height": 9, **result.to_dict()}
    content = row if form == "jsonl" else {"results": [row], "errors": []}
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    spec = get_model(name)
    path = TextFile(f"some.{form}").holding(text.encode())
    return StoredResults(path, spec, spec.labels).of(Item("a.png")), path


@st.composite
def detections(draw):
    count = draw(st.integers(0, 6))
    values = np.sort(draw(npst.arrays(np.float32, count, elements=scores)))[::-1].copy()
    boxes = draw(npst.arrays(np.float32, (count, 4), elements=pixels))
    ids = draw(npst.arrays(np.int64, count, elements=st.integers(0, 5)))
    labels = draw(st.lists(texts, min_size=6, max_size=6))
    return Detections(boxes, values, ids, tuple(labels[number] for number in ids))


@settings(max_examples=80)
@given(detections(), st.sampled_from(["json", "jsonl"]))
def test_detections(found, form):
    again, path = stored("yolox", found, form)
    assert again.to_dict() == found.to_dict()
    np.testing.assert_allclose(again.boxes, found.boxes, rtol=0, atol=2e-3)
    np.testing.assert_allclose(again.scores, found.scores, rtol=0, atol=1e-6)
    boxes = StoredBoxes(path).of(Item("a.png"))
    assert boxes.labels == found.labels
    assert boxes.boxes.tolist() == again.boxes.tolist()


@settings(max_examples=40)
@given(npst.arrays(np.float32, st.tuples(st.integers(0, 3), st.just(68), st.just(2)), elements=pixels), st.booleans())
def test_landmarks(points, boxed):
    boxes = np.tile(np.float32([1, 2, 3.5, 4]), (len(points), 1)) if boxed and len(points) else None
    found = Landmarks(points, boxes)
    again, _ = stored("landmarks68", found, "json")
    assert again.to_dict() == found.to_dict()


@settings(max_examples=40)
@given(npst.arrays(np.float32, 7, elements=scores))
def test_classes(values):
    labels = get_model("emotion").labels
    again, _ = stored("emotion", Classification(values, labels), "json")
    assert again.labels == labels, "in the order of the model"
    np.testing.assert_allclose(again.scores, values, rtol=0, atol=1e-6)


numbers = st.floats(-MOST, MOST, allow_nan=False)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=80)
@given(plain)
def test_plain_json(content):
    again = read_plain(json.dumps(content, ensure_ascii=False))
    assert repr(again) == repr(content), "True, 1 and 1.0 are equal"


@settings(max_examples=80)
@given(
    title=texts,
    labels=st.lists(texts, max_size=4).map(tuple),
    batch=st.just("dynamic") | st.integers(1, 2**15),
    variant=st.dictionaries(texts, plain, max_size=3),
    tools=st.dictionaries(texts, texts, max_size=3),
    mean=st.tuples(numbers, numbers, numbers),
    score=st.floats(0, 1),
)
def test_seals(*, title, labels, batch, variant, tools, mean, score):
    seal = seal_of("yolox")
    content = {"preprocess": {**seal.preprocess, "mean": mean}, "postprocess": {**seal.postprocess}}
    content["postprocess"]["score_threshold"] = score
    made = replace(seal, title=title, labels=labels, batch=batch, variant=variant, tools=tools, **content)
    again = Seal.from_json(made.to_json(), "it")
    assert again.to_json() == made.to_json()
    assert (again.title, again.labels, again.batch, again.variant) == (title, labels, batch, variant)
    preprocess, postprocess = sealed_params(get_model("yolox"), again, "it")
    assert isinstance(preprocess, PreprocessParams)
    assert preprocess.mean == mean
    assert postprocess == PostprocessParams(**{**asdict(PostprocessParams()), "score_threshold": score})
