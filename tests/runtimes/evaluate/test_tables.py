"""Figures as text."""

from cvport.runtimes.evaluate.base import Evaluation, Figure, Score
from cvport.runtimes.evaluate.tables import align, difference, figure_lines, row_lines

EVALUATION = Evaluation(
    read=None,
    score=None,
    figures=(Figure("map", "mAP"), Figure("nme", "NME", "{:.1f}"), Figure("none", "nothing")),
    columns=(Figure("label", "class", "{}"), Figure("ap", "AP")),
)
FIRST = Score({"map": 0.5, "nme": 12.34, "none": None}, [{"label": "手", "ap": 0.25}, {"label": "cat", "ap": None}])
OTHER = Score({"map": 0.25, "nme": 12.44, "none": 0.5})


def test_one_backend():
    assert figure_lines(EVALUATION, {"onnx": FIRST}) == [
        "           onnx",
        "mAP      0.5000",
        "NME        12.3",
        "nothing       -",
    ]


def test_differences_to_the_first():
    assert figure_lines(EVALUATION, {"onnx": FIRST, "npu": OTHER}) == [
        "           onnx     npu  npu - onnx",
        "mAP      0.5000  0.2500     -0.2500",
        "NME        12.3    12.4        +0.1",
        "nothing       -  0.5000           -",
    ]
    assert difference(FIRST, OTHER, "map") == -0.25
    assert difference(FIRST, OTHER, "none") is None


def test_rows():
    assert row_lines(EVALUATION, FIRST) == ["class      AP", "手     0.2500", "cat         -"]
    assert row_lines(Evaluation(read=None, score=None, figures=()), FIRST) == []


def test_align_nothing():
    assert align([]) == []
