"""``cvrun``: what it prints where, what it returns, and that nothing is lost when something is wrong."""

import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

import cvport
from cvport.runtimes.commands import cvrun as cli
from cvport.runtimes.commands import options as options_module
from cvport.runtimes.commands.cvrun import cvrun
from cvport.runtimes.kinds import drawing
from cvport.runtimes.load import load
from cvport.runtimes.sources import files
from cvport.runtimes.versions import library_versions

CONF = 0.15
CVRUN = Path(sys.executable).parent / "cvrun"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """No artifacts of the checkout, and Pillow's global limit put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)


@pytest.fixture
def run(invoke, nano_artifact):
    """``run(source, ...)`` runs the small network on ONNX Runtime."""

    def run(*args):
        return invoke(cvrun, "-m", nano_artifact.onnx, "--backend", "onnx", "--conf", CONF, *args)

    return run


def results(done):
    return json.loads(done.out)["results"]


# --- the result


def test_json_equals_the_predictor(run, nano_artifact, write_picture):
    paths = [write_picture("a.png", 1), write_picture("b.jpg", 2, (50, 200))]
    done = run("-q", "--format", "json", *paths)
    assert (done.code, done.err) == (0, "")
    content = json.loads(done.out)
    assert {key: content[key] for key in content if key != "results"} == {
        "schema_version": 1,
        "model": "yolox",
        "backend": "onnx",
        "device": "cpu",
        "versions": library_versions(),
        "errors": [],
    }
    with load(nano_artifact.onnx, backend="onnx", score_threshold=CONF) as predictor:
        for result, path in zip(content["results"], paths, strict=True):
            height, width = cvport.read_image(path).shape[:2]
            timing = result.pop("timing_ms")
            assert result.pop("warmup", False) == (path == paths[0])
            assert result == {"source": str(path), "width": width, "height": height, **predictor(path).to_dict()}
            assert result["detections"]
            assert list(timing) == ["preprocess", "network", "postprocess"]
            assert all(value > 0 for value in timing.values())


def test_table(run, write_picture):
    done = run(write_picture("a.png"))
    first, *rows = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert first.startswith(str(write_picture("a.png")))
    assert f"  120x90  {len(rows)} detections  " in first
    assert first.endswith(" ms on onnx cpu")
    assert all(row.split()[0] in ("class_0", "class_1", "class_2") for row in rows)


def test_every_format_prints_the_same_detections(run, write_picture):
    path = write_picture("a.png")
    out = {form: run("--format", form, path).out for form in ("json", "jsonl", "csv", "coco", "table")}
    (found,) = json.loads(out["json"])["results"]
    count = len(found["detections"])
    assert count > 3
    (line,) = out["jsonl"].splitlines()
    assert json.loads(line)["detections"] == found["detections"]
    assert len(out["csv"].splitlines()) == 1 + count
    assert len(json.loads(out["coco"])["annotations"]) == count
    assert [entry["name"] for entry in json.loads(out["coco"])["categories"]] == ["class_0", "class_1", "class_2"]
    assert len(out["table"].splitlines()) == 1 + count


def test_thresholds_and_classes(run, nano_artifact, write_picture):
    path = write_picture("a.png")
    every = results(run("--format", "json", path))[0]["detections"]
    some = results(run("--format", "json", "--classes", "class_0, 2", path))[0]["detections"]
    assert some == [row for row in every if row["class_id"] != 1]
    assert len(some) < len(every)
    assert results(run("--format", "json", "--max-det", 2, path))[0]["detections"] == every[:2]
    assert results(run("--format", "json", "--conf", 1, path))[0]["detections"] == []
    for options in (["--iou", 0.1, "--agnostic-nms", "--max-det", 7], ["--iou", 1]):
        done = run("--format", "json", *options, path)
        keys = {
            "iou_threshold": options[1],
            "class_agnostic": "--agnostic-nms" in options,
            "max_detections": options[-1] if "--max-det" in options else None,
        }
        with load(nano_artifact.onnx, backend="onnx", score_threshold=CONF, **keys) as predictor:
            assert results(done)[0]["detections"] == predictor(path).to_dict()["detections"]


def test_torch_finds_what_onnx_finds(run, invoke, nano_artifact, write_picture):
    path = write_picture("a.png")
    options = ["--backend", "torch", "--weights", nano_artifact.weights, "--conf", CONF, "--format", "json"]
    expected = results(run("--format", "json", path))[0]["detections"]
    for model in (["-m", nano_artifact.onnx], ["-m", "yolox", "--input-size", "160"]):
        done = invoke(cvrun, *model, *options, path)
        assert (done.code, "error" in done.err) == (0, False)
        assert json.loads(done.out)["backend"] == "torch"
        found = results(done)[0]["detections"]
        assert [row["label"] for row in found] == [row["label"] for row in expected]
        for one, other in zip(found, expected, strict=True):
            assert one["score"] == pytest.approx(other["score"], abs=1e-4)
            assert one["box"] == pytest.approx(other["box"], abs=0.01)


def test_labels_file(invoke, nano_artifact, write_picture, tmp_path):
    (tmp_path / "names.txt").write_text("cat\ndog\nhot dog\n")
    options = ["--backend", "torch", "--weights", nano_artifact.weights, "--input-size", "160,160", "--conf", CONF]
    done = invoke(cvrun, *options, "--labels", "names.txt", "--format", "json", write_picture())
    assert {row["label"] for row in results(done)[0]["detections"]} <= {"cat", "dog", "hot dog"}
    assert results(done)[0]["detections"]


def test_folders_patterns_and_files(run, write_picture):
    for name in ("set/b.png", "set/a.jpg", "set/deep/c.png", "d.png"):
        write_picture(name, size=(20, 30))
    Path("set/notes.txt").touch()
    done = run("--format", "json", "d.png", "set", "set/**/*.png")
    assert done.code == 0
    expected = ["d.png", "set/a.jpg", "set/b.png", "set/b.png", "set/deep/c.png"]
    assert [Path(row["source"]).as_posix() for row in results(done)] == expected


# --- stdout is the result, stderr the rest


def test_auto_is_told_unless_quiet(invoke, nano_artifact, write_picture):
    path = write_picture()
    done = invoke(cvrun, "-m", nano_artifact.onnx, "--format", "json", path)
    assert (done.code, done.err) == (0, "backend: onnx on cpu\n")
    assert json.loads(done.out)["backend"] == "onnx"
    assert invoke(cvrun, "-q", "-m", nano_artifact.onnx, path).err == ""


def test_untrained_is_told(invoke, with_seal, nano_artifact, write_picture):
    resealed = with_seal(weights={"sha256": "0", "origin": "seeded:0", "untrained": True})
    done = invoke(cvrun, "-m", resealed, "--backend", "onnx", "--format", "json", write_picture())
    assert "untrained" in done.err
    assert json.loads(done.out)["untrained"] is True
    assert invoke(cvrun, "-q", "-m", resealed, "--backend", "onnx", write_picture()).err == ""


def test_quiet_still_shows_errors(run):
    assert run("-q", "gone.jpg") == (3, "", "error: no such file: gone.jpg\n  Check the path.\n")


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help(invoke, option):
    done = invoke(cvrun, option)
    assert (done.code, done.err) == (0, "")
    assert "cvrun image.jpg" in done.out


def test_version(invoke):
    done = invoke(cvrun, "--version")
    assert done.code == 0
    assert cvport.__version__ in done.out


def test_no_arguments_at_all(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["cvrun"])
    cli.main()
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == ""
    assert len(lines) <= 20
    assert any(line.startswith("models") and "yolox" in line for line in lines)
    assert sum(line.startswith("backend") and "ready" in line for line in lines) == 2
    assert sum(line.startswith(("cvrun ", "cvexport ")) for line in lines) == 3


# --- bad pictures


def _huge(path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b""))


def _cut(path):
    Image.effect_noise((200, 100), 90).save(path)
    path.write_bytes(path.read_bytes()[:-3000])


BAD = {
    "gone.jpg": (lambda path: None, "no such file"),
    "text.jpg": (lambda path: path.write_text("no picture " * 50), "is not an image of a known format"),
    "cut.jpg": (_cut, "cannot read"),
    "empty.jpg": (lambda path: path.touch(), "is empty"),
    "folder": (lambda path: path.mkdir(), "no images in the folder"),
    "no*.jpg": (lambda path: None, "nothing matches"),
    "huge.png": (_huge, "is too large"),
    "x" * 300 + ".jpg": (lambda path: None, "cannot look for"),
    "a**.jpg": (lambda path: None, "cannot look for"),
}


@pytest.mark.parametrize("name", BAD, ids=[name[:10] for name in BAD])
def test_bad_picture_among_good_ones(run, write_picture, name):
    make, message = BAD[name]
    make(Path(name))
    write_picture("1.png", size=(20, 30))
    write_picture("2.png", size=(20, 30))
    done = run("--format", "json", "1.png", name, "2.png")
    assert done.code == 3
    content = json.loads(done.out)
    assert [row["source"] for row in content["results"]] == ["1.png", "2.png"]
    ((source, code, text),) = [tuple(error.values()) for error in content["errors"]]
    assert list(content["errors"][0]) == ["source", "code", "message"]
    assert (source, code) == (name, 3)
    assert message in text
    error, hint, summary = done.err.splitlines()
    assert error == f"error: {text}"
    assert summary.startswith("2 images, 1 error, ")
    assert name in error
    assert hint.startswith("  ")


def test_all_of_them_at_once(run, write_picture):
    for name, (make, _) in BAD.items():
        make(Path(name))
    write_picture("good.png", size=(20, 30))
    done = run("--format", "json", *BAD, "good.png")
    assert done.code == 3
    content = json.loads(done.out)
    assert [row["source"] for row in content["results"]] == ["good.png"]
    assert {error["source"] for error in content["errors"]} == set(BAD)
    assert done.err.count("error: ") == len(BAD)


@pytest.mark.parametrize("form", ["table", "jsonl", "csv", "coco"])
def test_other_formats_with_a_bad_picture(run, write_picture, form):
    write_picture("good.png")
    good = run("--format", form, "good.png").out
    done = run("--format", form, "gone.jpg", "good.png")
    assert done.code == 3
    assert "no such file: gone.jpg" in done.err
    assert len(done.out.splitlines()) == len(good.splitlines()) + (form == "jsonl")
    if form == "jsonl":
        error = {"code": 3, "message": "no such file: gone.jpg"}
        assert json.loads(done.out.splitlines()[0]) == {"source": "gone.jpg", "error": error}, "in its place"


def test_nothing_but_a_bad_picture(run):
    assert run("gone.jpg").out == ""
    assert results(run("--format", "json", "gone.jpg")) == []


def test_limit_can_be_raised(run, write_picture):
    _huge(Path("huge.png"))
    done = run("--max-pixels", 400_000_000, "huge.png")
    assert done.code == 3
    assert "too large" not in done.err
    assert "cannot read huge.png" in done.err
    done = run("--max-pixels", 120 * 90 - 1, write_picture("a.png"))
    assert done.code == 3
    assert "has 120x90 pixels, the limit is 10,799" in done.err
    assert "--max-pixels 10800" in done.err
    assert run("--max-pixels", 120 * 90, "a.png").code == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 50_000)])
def test_tiny_and_elongated_pictures(run, size):
    Image.new("RGB", size, (200, 30, 30)).save("a.png")
    done = run("--format", "json", "--save", "out", "a.png")
    assert (done.code, done.err) == (0, "saved out/a_onnx.png\n")
    assert (results(done)[0]["width"], results(done)[0]["height"]) == size
    assert cvport.read_image("out/a_onnx.png").shape == (size[1], size[0], 3)


# --- bad files and options


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["-m", "yolo"], "there is no model 'yolo'\n  Did you mean 'yolox'?"),
        (["-m", "yolox.pth"], "-m MODEL --weights yolox.pth --backend torch"),
        (["--conf", "1.5"], "--conf"),
        (["--conf", "high"], "--conf"),
        (["--iou", "-1"], "--iou"),
        (["--max-det", "0"], "--max-det"),
        (["--max-pixels", "0"], "--max-pixels"),
        (["--threads", "0"], "--threads"),
        (["--format", "xml"], "--format"),
        (["--fromat", "json"], "--format"),
        (["--classes", "clas_1"], "there is no class 'clas_1'\n  Did you mean 'class_1'?"),
        (["--input-size", "big"], "'big' is not an input size"),
        (["--input-size", "320,"], "'320,' is not an input size"),
        (["--input-size", "160"], "fixed in an exported file"),
        (["--preprocess", "easycv"], "fixed in an exported file"),
    ],
)
def test_wrong_usage(run, write_picture, args, message):
    done = run(*args, write_picture())
    assert (done.code, done.out) == (2, "")
    assert message in done.err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--input-size", "100"], "input size 100,100 does not fit yolox"),
        (["--input-size", "0"], "input size 0,0 does not fit yolox"),
        (["--preprocess", "megvi"], "yolox has no --preprocess 'megvi'\n  Did you mean 'megvii'?"),
        (["--activation", "gelu"], "yolox has no --activation 'gelu'"),
        (["--labels", "two.txt"], "2 labels were given, the network has 3 classes"),
    ],
)
def test_wrong_options_of_the_network(invoke, nano_artifact, write_picture, args, message):
    Path("two.txt").write_text("a\nb\n")
    done = invoke(cvrun, "--backend", "torch", "--weights", nano_artifact.weights, *args, write_picture())
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_no_source(run):
    done = run()
    assert (done.code, done.out) == (2, "")
    assert "no SOURCE" in done.err


@pytest.mark.parametrize(("content", "message"), [(None, "cannot read the labels"), (b"\n", "no labels in")])
def test_bad_labels_file(invoke, nano_artifact, write_picture, content, message):
    if content is not None:
        Path("names.txt").write_bytes(content)
    options = ["--backend", "torch", "--weights", nano_artifact.weights, "--labels", "names.txt"]
    done = invoke(cvrun, *options, write_picture())
    assert (done.code, done.out) == (3, "")
    assert message in done.err
    assert "names.txt" in done.err


def test_model_that_was_not_exported(invoke, write_picture):
    for args in ([], ["-m", "yolox"], ["--backend", "onnx"]):
        done = invoke(cvrun, *args, write_picture())
        assert (done.code, done.out) == (4, "")
        assert "yolox has not been exported here" in done.err
        assert "cvexport yolox --weights seeded" in done.err


def test_published_model_is_the_default(invoke, nano_artifact, write_picture):
    shutil.copytree(nano_artifact.onnx.parent, "artifacts/yolox")
    done = invoke(cvrun, write_picture(size=(20, 30)))
    assert done.code == 0
    assert "20" in done.out


def test_files_that_are_no_artifacts(invoke, with_seal, nan_artifact, write_picture):
    Path("text.onnx").write_text("no network")
    Path("empty.onnx").touch()
    for model, message in {
        "gone.onnx": "no such file",
        "text.onnx": "is not a usable ONNX model",
        "empty.onnx": "is not a usable ONNX model",
        with_seal(): "was not made by cvexport",
        nan_artifact: "not finite",
    }.items():
        done = invoke(cvrun, "-m", model, "--backend", "onnx", "--format", "json", write_picture())
        assert (done.code, done.out) == (4, ""), model
        assert message in done.err
        assert "\n  " in done.err, "a next step"


def test_wrong_weights_for_a_file(invoke, nano_artifact, write_picture):
    options = ["-m", nano_artifact.onnx, "--backend", "torch"]
    done = invoke(cvrun, *options, write_picture())
    assert (done.code, done.out) == (4, "")
    assert "--weights FILE (nano.pth" in done.err
    state = torch.load(nano_artifact.weights, weights_only=True)["model"]
    torch.save(state, "bare.pth")
    done = invoke(cvrun, *options, "--weights", "bare.pth", write_picture())
    assert (done.code, done.out) == (4, "")
    assert "are not the weights" in done.err


WRONG = ["-m", "gone.onnx", "--weights", "gone.pth", "--labels", "gone.txt", "--input-size", "no", "--classes", "no"]


@pytest.mark.parametrize("sources", [["gone.jpg"], []])
@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--backend", "onx"], "there is no backend 'onx'\n  Did you mean 'onnx'?"),
        (["--backend", "onnx", "--device", "npu:0"], "has no device 'npu:0'"),
        (["--device", "tpu"], "has no device 'tpu'"),
        (["--backend", "torch", "--device", "cpu:1"], "has no device 'cpu:1'"),
    ],
)
def test_backend_comes_first_whatever_else_is_wrong(invoke, args, message, sources):
    done = invoke(cvrun, *args, *WRONG, *sources)
    assert (done.code, done.out) == (5, "")
    assert message in done.err


@pytest.mark.skipif(
    torch.cuda.is_available() or "CUDAExecutionProvider" in onnxruntime.get_available_providers(),
    reason="there is a CUDA device",
)
@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_cuda_that_is_not_there(invoke, backend):
    done = invoke(cvrun, "--backend", backend, "--device", "cuda:0", *WRONG, "gone.jpg")
    assert (done.code, done.out) == (5, "")
    assert "--device cpu" in done.err


@pytest.mark.parametrize(("backend", "package"), [("onnx", "onnxruntime"), ("torch", "torch")])
def test_missing_package(invoke, monkeypatch, backend, package):
    monkeypatch.setitem(sys.modules, package, None)
    done = invoke(cvrun, "--backend", backend, *WRONG, "gone.jpg")
    assert (done.code, done.out) == (5, "")
    assert "pip install" in done.err


def test_internal_error(run, write_picture, monkeypatch):
    def broken(*args):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(cli, "open_output", broken)
    done = run(write_picture())
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("internal error: ZeroDivisionError: division by zero\n")


@pytest.mark.parametrize("error", [MemoryError(), RecursionError("too deep"), ZeroDivisionError("division by zero")])
def test_whatever_a_decoder_does_costs_one_picture(run, write_picture, monkeypatch, error):
    for number in range(3):
        write_picture(f"set/{number}.png", number)
    read = files.read_image

    def broken(path, max_pixels):
        if path.name == "1.png":
            raise error
        return read(path, max_pixels)

    monkeypatch.setattr(files, "read_image", broken)
    done = run("--format", "jsonl", "set")
    assert done.code == 3
    good, bad, other = map(json.loads, done.out.splitlines())
    assert "detections" in good
    assert "detections" in other
    assert bad["error"]["code"] == 3
    assert "cannot read set/1.png" in bad["error"]["message"]


# --- pictures


def test_save_into_a_folder(run, nano_artifact, write_picture):
    paths = [write_picture(name, seed) for seed, name in enumerate(("x/a.png", "y/a.png", "b.jpg"))]
    done = run("--save", "new/out", *paths)
    *saved, summary = done.err.splitlines()
    assert done.code == 0
    assert saved == ["saved new/out/a_onnx.png", "saved new/out/a_onnx-2.png", "saved new/out/b_onnx.jpg"]
    assert re.fullmatch(
        r"3 images, 0 errors(, [\d.]+ \+ [\d.]+ \+ [\d.]+ ms per image \(.*\), [\d.]+ images/s)?.*", summary
    )
    written = sorted(path.name for path in Path("new/out").iterdir())
    assert written == ["a_onnx-2.png", "a_onnx.png", "b_onnx.jpg"]
    with load(nano_artifact.onnx, backend="onnx", score_threshold=CONF) as predictor:
        for path, name in zip(paths, ("a_onnx.png", "a_onnx-2.png"), strict=False):
            image = cvport.read_image(path)
            np.testing.assert_array_equal(cvport.read_image(f"new/out/{name}"), cvport.draw(image, predictor(image)))


def test_save_into_a_file(run, write_picture):
    done = run("--save", "new/one.png", write_picture("a.png"))
    assert done.code == 0
    assert cvport.read_image("new/one.png").shape == (90, 120, 3)
    assert (cvport.read_image("new/one.png") != cvport.read_image("a.png")).any()


def test_save_two_into_a_file(run, write_picture):
    done = run("--save", "one.png", write_picture("a.png"), write_picture("b.png"))
    assert (done.code, done.out) == (2, "")
    assert "--save one.png is one file, there are 2 images" in done.err
    assert not Path("one.png").exists()


def test_save_where_nothing_can_be_written(run, write_picture):
    Path("taken").write_text("a file where a folder should be")
    done = run("--format", "json", "--save", "taken/out", write_picture("a.png"), write_picture("b.png"))
    assert done.code == 3
    content = json.loads(done.out)
    assert len(content["results"]) == 2, "what was found is not lost"
    assert [Path(error["source"]).name for error in content["errors"]] == ["a.png", "b.png"]
    assert all("cannot write" in error["message"] for error in content["errors"])


@pytest.mark.parametrize("target", ["out.xyz", "new/photos.v2"])
def test_save_to_what_is_no_image(run, write_picture, target):
    done = run("--save", target, write_picture("a.png"))
    assert (done.code, done.out) == (2, "")
    assert f"--save {target}: {Path(target).suffix} is not an image format" in done.err
    assert ".jpg" in done.err
    assert not Path(target).exists()
    assert run("--save", f"{target}/", "a.png").code == 0
    assert [path.name for path in Path(target).iterdir()] == ["a_onnx.png"]
    assert run("--save", target, "a.png").code == 0, "an existing folder"


def test_saved_images_are_named_unless_quiet(run, write_picture):
    path = write_picture("a.png")
    assert run("--save", "out", path).err == "saved out/a_onnx.png\n"
    assert run("--save", "one.png", path).err == "saved one.png\n"
    assert run("-q", "--save", "out", path).err == ""


@pytest.mark.parametrize(("given", "shown"), [([], "auto"), (["--labels-shown", "none"], "none")])
def test_labels_shown_is_passed_to_drawing(run, write_picture, monkeypatch, given, shown):
    styles = []
    monkeypatch.setattr(drawing, "draw", lambda image, result, **style: styles.append(style) or image)
    assert run("--save", "out", *given, write_picture("a.png")).code == 0
    assert styles == [{"names": {}, "note": "", "labels_shown": shown}]


# --- several images


def test_summary_counts_and_times(run, write_picture):
    write_picture("set/a.png")
    write_picture("set/b.png", 1)
    Path("set/c.png").touch()
    done = run("--format", "jsonl", "set")
    assert (done.code, len(done.out.splitlines())) == (3, 3)
    assert re.fullmatch(
        r"2 images, 1 error, [\d.]+ \+ [\d.]+ \+ [\d.]+ ms per image \(preprocess \+ network \+ postprocess\), "
        r"[\d.]+ images/s, warm-up left out",
        done.err.splitlines()[-1],
    )
    assert run("set/a.png").err == "", "one image needs no summary"
    assert run("-q", "set/a.png", "set/b.png").err == ""


@pytest.mark.parametrize("form", ["json", "jsonl", "csv", "coco", "table"])
def test_interrupt_keeps_what_was_done(run, write_picture, monkeypatch, form):
    for number in range(5):
        write_picture(f"set/{number}.png", number)
    read = files.read_image

    def interrupted(path, max_pixels):
        if path.name == "2.png":
            os.kill(os.getpid(), signal.SIGINT)
        return read(path, max_pixels)

    monkeypatch.setattr(files, "read_image", interrupted)
    done = run("--format", form, "set")
    assert done.code == 130
    # What other threads had begun is kept too.
    count = int(re.fullmatch(r"interrupted after (\d) images\n", done.err)[1])
    assert 2 <= count <= 5
    monkeypatch.setattr(files, "read_image", read)
    whole = run("-q", "--format", form, *[f"set/{number}.png" for number in range(count)]).out

    def shape(text):
        return re.sub(r"\d+\.\d+", "#", re.sub(r',\s*"warmup": true', "", text))

    assert shape(done.out) == shape(whole)


# --- other sources


def test_frames_of_a_video_have_their_number_and_time(run):
    writer = cv2.VideoWriter("clip.avi", cv2.VideoWriter_fourcc(*"MJPG"), 5, (64, 48))
    for value in (0, 80, 160, 240):
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
    done = run("--format", "jsonl", "--vid-stride", 2, "clip.avi")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert (done.code, [(line["source"], line["frame"]) for line in lines]) == (0, [("clip.avi", 0), ("clip.avi", 2)])
    assert lines[1]["time_s"] == pytest.approx(0.4, abs=0.01)


def test_skipped_subfolders_are_told(run, write_picture):
    write_picture("set/a.png")
    write_picture("set/more/b.png", 1)
    done = run("--format", "jsonl", "set")
    assert len(done.out.splitlines()) == 1
    assert "note: 1 subfolder of set left out (more); --recursive reads them" in done.err
    done = run("-q", "--format", "jsonl", "--recursive", "set")
    assert [json.loads(line)["source"] for line in done.out.splitlines()] == ["set/a.png", "set/more/b.png"]
    assert done.err == ""


# --- logs and shells


def test_log_file(run, write_picture):
    path = write_picture("a.png")
    done = run("-q", "--log-file", "run.log", path)
    assert (done.code, done.err) == (0, "")
    log = Path("run.log").read_text()
    assert re.match(r"\d{4}-\d\d-\d\d .* INFO cvport\.\S+: placement: \d+ on CPU", log)
    assert run("--log-file", "no/such/run.log", path).code == 3


def test_shells_are_told_how_to_complete():
    code = "import sys; sys.argv = ['cvrun']; from cvport.runtimes.commands.cvrun import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "_CVRUN_COMPLETE": "bash_source"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert "complete -o nosort -F" in done.stdout


# --- what was assumed


@pytest.fixture
def guessing(monkeypatch):
    """``cvrun`` loads a predictor that guessed its preprocessing."""

    def guess(*args, **given):
        predictor = load(*args, **given)
        predictor.assumed = ("preprocess easycv (model default)",)
        return predictor

    monkeypatch.setattr(options_module, "load", guess)


@pytest.mark.usefixtures("guessing")
def test_assumption_is_told_in_every_run_and_once_more_where_nothing_was_found(run, write_picture):
    path = write_picture("a.png")
    header = "assumed: preprocess easycv (model default)\n"
    assert run(path).err == header
    assert run("-q", "--conf", 1, path).err == ""
    done = run("--conf", 1, path)
    assert done.code == 0
    assert done.err.startswith(header)
    (hint,) = done.err.removeprefix(header).splitlines()
    assert hint.startswith("hint: nothing was found")
    assert hint.endswith("export it again with --preprocess megvii or --preprocess megvii-legacy")
    assert "hint" not in run("--conf", 1, "gone.png").err, "nothing was looked at"


@pytest.mark.parametrize(
    ("weights", "assumed", "tries"),
    [
        ("yolox_nano_coco.safetensors", "preprocess easycv (model default)", "try --preprocess megvii, "),
        ("yolox_nano_hand.pth", "preprocess megvii (Megvii wrapping)", "try --preprocess easycv, "),
    ],
)
def test_wrong_guess_about_trained_weights_is_told(invoke, real, weights, assumed, tries):
    options = ["-m", "yolox", "--weights", real / weights, "--backend", "torch", real / "images/hand_static.jpg"]
    header, hint = invoke(cvrun, *options).err.splitlines()
    assert header.startswith("assumed: ")
    assert assumed in header
    assert tries in hint
    right = tries.split()[2].strip(",")
    done = invoke(cvrun, *options, "--preprocess", right, "--activation", "silu")
    assert (done.code, done.err) == (0, "")
    assert "  1 detection  " in done.out


def test_nothing_found_without_an_assumption_is_a_result(run, write_picture):
    assert run("--conf", 1, write_picture("a.png")).err == ""


def test_language_that_the_labels_lack_is_told(run, write_picture):
    done = run("--lang", "zh", write_picture("a.png"))
    assert done.code == 0
    assert done.err == "note: no label has a name in Chinese: class_0, class_1, class_2\n"
    assert run("-q", "--lang", "zh", "a.png").err == ""


# --- the program


@pytest.fixture
def program(nano_artifact):
    def program(*args, **options):
        command = [CVRUN, "-m", nano_artifact.onnx, "--backend", "onnx", *args]
        return subprocess.run(command, stderr=subprocess.PIPE, check=False, **options)

    return program


def test_program_with_a_name_that_is_no_text(program, write_picture):
    odd = os.fsencode(Path.cwd()) + b"/caf\xe9.png"
    try:
        os.rename(write_picture("a.png"), odd)  # noqa: PTH104
    except OSError:
        pytest.skip("this file system takes text only")
    strict = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    done = program("--format", "json", odd, b"gon\xe9.png", stdout=subprocess.PIPE, env=strict)
    assert done.returncode == 3
    assert os.fsencode(json.loads(done.stdout)["results"][0]["source"]) == odd
    assert done.stderr.startswith(b"error: no such file: gon\\udce9.png\n  Check the path.\n1 image, 1 error")


def test_program_whose_reader_has_gone(program, write_picture):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = program("--conf", "0.01", write_picture(), stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_program_whose_reader_leaves_after_a_line(program, write_picture):
    write_picture("a.png")
    with subprocess.Popen(["head", "-1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as head:
        done = program("-q", "--format", "jsonl", *["a.png"] * 30, stdout=head.stdin)
        head.stdin.close()
        assert json.loads(head.stdout.read())["source"] == "a.png"
    assert (done.returncode, done.stderr) == (0, b"")


def test_program_without_arguments():
    done = subprocess.run([CVRUN], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert 8 < len(done.stdout.splitlines()) <= 20


def test_program_returns_the_code(program, write_picture):
    cv2.imwrite("grey.png", np.zeros((5, 5), np.uint8))
    done = program("gone.jpg", "grey.png", stdout=subprocess.PIPE)
    assert done.returncode == 3
    assert done.stdout.startswith(b"grey.png  5x5  ")
    assert b"gone.jpg" not in done.stdout
