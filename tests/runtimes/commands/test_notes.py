"""What a run says on stderr besides its errors."""

from types import SimpleNamespace

import pytest

from cvport import get_model
from cvport.runtimes.commands import notes
from cvport.runtimes.pipeline import Summary
from cvport.runtimes.sinks.base import RunInfo

YOLOX = get_model("yolox")
GUESS = ("preprocess megvii (Megvii wrapping)", "activation silu (model default)")


def made(*assumed, seal=None):
    return SimpleNamespace(spec=YOLOX, assumed=assumed, seal=seal)


def info(**changes):
    return RunInfo(YOLOX, "onnx", "cpu", **changes)


@pytest.mark.parametrize(
    ("asked", "assumed", "lines"),
    [
        ("onnx", (), []),
        ("auto", (), ["backend: onnx on cpu"]),
        ("onnx", GUESS, [f"assumed: {GUESS[0]}, {GUESS[1]}"]),
        ("auto", GUESS[:1], [f"backend: onnx on cpu; assumed: {GUESS[0]}"]),
    ],
)
def test_header(asked, assumed, lines):
    assert notes.header(asked, made(*assumed), info()) == lines


def test_header_of_made_up_things():
    untrained, simulated = info(untrained=True), info(settings={"simulated": True})
    assert "untrained" in notes.header("onnx", made(), untrained)[0]
    assert "simulated" in notes.header("onnx", made(), simulated)[0]


def test_hint_names_the_other_choices():
    lead = "hint: nothing was found in any image under what was assumed; "
    (line,) = notes.empty_hint(made(*reversed(GUESS)))
    assert line == f"{lead}try --preprocess easycv, --preprocess megvii-legacy or --activation relu"
    (line,) = notes.empty_hint(made(GUESS[1]))
    assert line == f"{lead}try --activation relu"
    (line,) = notes.empty_hint(made(GUESS[0], seal=object()))
    assert line == f"{lead}export it again with --preprocess easycv or --preprocess megvii-legacy"
    assert notes.empty_hint(made()) == []
    assert notes.empty_hint(made("labels COCO (80 classes)")) == []


@pytest.mark.parametrize(
    ("lang", "names", "labels", "lines"),
    [
        ("en", {}, ("cat",), []),
        ("zh", {"hand": "人手"}, ("hand",), []),
        ("zh", {}, (), []),
        ("zh", {}, ("cat", "dog"), ["note: no label has a name in Chinese: cat, dog"]),
        ("zh", {"hand": "人手"}, ("cat", "hand"), ["note: 1 of 2 labels has no name in Chinese: cat"]),
        (
            "zh",
            {"hand": "人手"},
            ("hand", *"abcdefg"),
            ["note: 7 of 8 labels have no name in Chinese: a, b, c, d, e, ..."],
        ),
    ],
)
def test_labels_without_a_translation(lang, names, labels, lines):
    assert notes.untranslated(lang, names, labels) == lines


@pytest.mark.parametrize(
    ("summary", "line"),
    [
        (Summary(), "0 images, 0 errors"),
        (Summary(images=2, errors=1), "2 images, 1 error"),
        (
            Summary(images=4, timed=4, stage_ms=(4.0, 40.2, 2.0), seconds=0.5),
            "4 images, 0 errors, 1.0 + 10.1 + 0.5 ms per image (preprocess + network + postprocess), 8.0 images/s",
        ),
        (
            Summary(images=2, timed=1, stage_ms=(1.0, 2.0, 3.0), seconds=0.5),
            "2 images, 0 errors, 1.0 + 2.0 + 3.0 ms per image (preprocess + network + postprocess), 2.0 images/s, "
            "warm-up left out",
        ),
    ],
)
def test_summary(summary, line):
    assert notes.summary_line(summary) == line
