"""``cvrun eval``: what it prints where, what it returns, and what bad truth and images cost."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cvport import get_model
from cvport.runtimes.commands import evaluate as module
from cvport.runtimes.commands.evaluate import evaluate
from cvport.runtimes.load import load
from cvport.runtimes.predictor import Predictor

CONF, MOST = 0.15, 10
# What the small network finds under these in the pictures below: boxes that are clipped to nothing are not among it.
SAME = ("--conf", CONF, "--max-det", MOST)
SEEDS = (5, 9, 11)
LABELS = ["class_0", "class_1", "class_2"]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """No artifacts of the checkout."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def found(nano_artifact):
    """``found(paths)``: the small network's detections in pictures, by the name of the file."""
    with load(nano_artifact.onnx, backend="onnx", score_threshold=CONF, max_detections=MOST) as predictor:
        yield lambda paths: {path.name: predictor(path) for path in paths}


def as_coco(results, names=LABELS):
    """Detections as a COCO dataset that takes them for true."""
    annotations = []
    for image, result in enumerate(results.values(), 1):
        for box, label in zip(result.boxes.astype(float).tolist(), result.class_ids.tolist(), strict=True):
            sides = [*box[:2], box[2] - box[0], box[3] - box[1]]
            annotations.append({"id": len(annotations), "image_id": image, "category_id": label + 5, "bbox": sides})
    return {
        "images": [{"id": image, "file_name": name} for image, name in enumerate(results, 1)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names, 5)],
        "annotations": annotations,
    }


@pytest.fixture
def dataset(write_picture, found):
    """Three pictures in the folder ``set``, and what the small network finds in them as the truth in truth.json."""
    paths = [write_picture(f"set/{number}.png", seed) for number, seed in enumerate(SEEDS)]
    content = as_coco(found(paths))
    assert {row["category_id"] for row in content["annotations"]} == {5, 6, 7}
    Path("truth.json").write_text(json.dumps(content))
    return content


@pytest.fixture
def run(invoke, nano_artifact):
    """``run(source, ...)`` evaluates the small network on ONNX Runtime."""

    def run(*args, backend="onnx"):
        return invoke(evaluate, "-m", nano_artifact.onnx, "--backend", backend, *args)

    return run


# --- the result


def test_a_network_that_finds_the_truth(run, dataset):
    done = run("--annotations", "truth.json", *SAME, "set")
    assert (done.code, done.err) == (0, "")
    first, empty, head, *rows = done.out.splitlines()
    assert first == (
        "yolox, 3 images, score_threshold 0.15, iou_threshold 0.65, class_agnostic False, max_detections 10"
    )
    assert (empty, head.split()) == ("", ["onnx"])
    assert [row.split("  ")[0] for row in rows][:3] == ["mAP", "mAP@.50IOU", "mAP@.75IOU"]
    assert [row.split()[-1] for row in rows[:3]] == ["1.0000"] * 3
    assert len(rows) == 12


def test_json(run, dataset):
    done = run("--annotations", "truth.json", *SAME, "--json", "-q", "set")
    assert (done.code, done.err) == (0, "")
    content = json.loads(done.out)
    (entry,) = content.pop("backends")
    assert content == {
        "schema_version": 1,
        "model": "yolox",
        "kind": "detections",
        "annotations": "truth.json",
        "settings": {
            "score_threshold": CONF,
            "iou_threshold": 0.65,
            "class_agnostic": False,
            "max_detections": MOST,
        },
        "images": {"scored": 3, "skipped": 0, "missing": 0, "errors": 0},
        "notes": [],
        "errors": [],
    }
    assert (entry["backend"], entry["device"], entry["figures"]["map"]) == ("onnx", "cpu", 1.0)
    assert [row["label"] for row in entry["classes"]] == LABELS
    assert sum(row["truth"] for row in entry["classes"]) == len(dataset["annotations"])


def test_almost_all_scores_are_asked_for_unless_the_user_says_otherwise(run, dataset):
    settings = json.loads(run("--annotations", "truth.json", "--json", "set").out)["settings"]
    assert (settings["score_threshold"], settings["max_detections"]) == (0.001, 100)
    some = run("--annotations", "truth.json", "--json", "--conf", CONF, "--max-det", 1, "--iou", 0.5, "set")
    content = json.loads(some.out)
    assert (content["settings"]["max_detections"], content["settings"]["iou_threshold"]) == (1, 0.5)
    assert content["backends"][0]["figures"]["map"] < 0.5


def test_classes_on_request(run, dataset):
    done = run("--annotations", "truth.json", *SAME, "-v", "set")
    head, *rows = done.out.split("\n\n")[2].splitlines()
    assert head.split() == ["class", "boxes", "AP", "AP@.50IOU", "AP@.75IOU", "AR@100"]
    assert [row.split()[0] for row in rows] == LABELS
    assert re.fullmatch(r"placement: \d+ on CPU\n", done.err)


def test_one_class_alone(run, dataset):
    done = run("--annotations", "truth.json", *SAME, "--classes", "class_1", "--json", "set")
    assert done.err == "note: categories left out: class_0, class_2\n"
    (entry,) = json.loads(done.out)["backends"]
    assert [row["label"] for row in entry["classes"]] == ["class_1"]
    assert entry["classes"][0]["ar"] == 1.0, "each is found, and more where 10 of one class are asked for"
    assert entry["classes"][0]["ap"] == entry["figures"]["map"]


def test_categories_by_order_are_told(run, dataset):
    Path("truth.json").write_text(
        json.dumps(dataset | {"categories": [{"id": i, "name": f"thing {i}"} for i in (5, 6, 7)]})
    )
    done = run("--annotations", "truth.json", *SAME, "set")
    assert "note: categories are taken for the model's classes in their order: thing 5 = class_0" in done.err
    assert "mAP              1.0000" in done.out
    assert run("-q", "--annotations", "truth.json", *SAME, "set").err == ""


def test_images_of_another_size_than_annotated_are_told(run, dataset):
    for image, width in zip(dataset["images"], (120, 90, 120), strict=True):
        image |= {"width": width, "height": 210 - width}
    Path("truth.json").write_text(json.dumps(dataset))
    done = run("--annotations", "truth.json", "--json", "set")
    assert done.err == "note: annotated with another size, boxes may not fit: set/1.png\n"
    assert json.loads(done.out)["notes"] == ["annotated with another size, boxes may not fit: set/1.png"]


# --- side by side


def test_two_backends(run, dataset, nano_artifact):
    options = ["--weights", nano_artifact.weights, "--annotations", "truth.json", *SAME]
    done = run(*options, "set", backend="onnx,torch")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[2].split() == ["onnx", "torch", "torch", "-", "onnx"]
    assert lines[3].split() == ["mAP", "1.0000", "1.0000", "+0.0000"]
    content = json.loads(run(*options, "--json", "set", backend="torch, onnx").out)
    torch, onnx = content["backends"]
    assert (torch["backend"], onnx["backend"]) == ("torch", "onnx")
    assert "differences" not in torch
    assert set(onnx["differences"]) == set(onnx["figures"])
    assert onnx["differences"]["map"] == pytest.approx(0, abs=0.01)


def test_a_difference_is_seen(run, dataset, nano_artifact, monkeypatch):
    def open_predictor(name, options, **instead):
        predictor = load(nano_artifact.onnx, backend="onnx", score_threshold=CONF, max_detections=MOST)
        if name == "torch":
            predictor._postprocess = lambda *args, **more: [result[:1] for result in postprocess(*args, **more)]
        return predictor

    postprocess = get_model("yolox").postprocess
    monkeypatch.setattr(module, "open_predictor", open_predictor)
    done = run("--annotations", "truth.json", "--json", *SAME, "set", backend="onnx,torch")
    onnx, torch = json.loads(done.out)["backends"]
    assert onnx["figures"]["map"] == 1.0
    assert torch["differences"]["map"] == pytest.approx(torch["figures"]["map"] - 1)
    assert torch["figures"]["map"] < 0.6


def test_precision_and_device_go_to_the_backend_that_has_them(run, dataset, nano_artifact, npu):
    options = ["--weights", nano_artifact.weights, "--annotations", "truth.json", *SAME, "--json"]
    done = run(*options, "--precision", "fp16", "--device", "npu:0", "set", backend="onnx,npu")
    assert done.code == 0
    assert "the NPU is simulated" in done.err
    onnx, entry = json.loads(done.out)["backends"]
    assert (onnx["device"], entry["device"]) == ("cpu", "npu:0")
    assert entry["backend_settings"]["precision"] == "fp16"
    assert abs(entry["differences"]["map"]) < 0.5


@pytest.mark.parametrize(
    ("backend", "options", "wrong"),
    [
        ("onnx,onnx", [], (2, "--backend onnx,onnx means onnx, onnx")),
        ("onnx,onx", [], (5, "there is no backend 'onx'")),
        ("onnx,", [], (5, "there is no backend ''")),
        ("onnx,torch", ["--precision", "fp16"], (2, "none of onnx, torch has the precision fp16")),
        ("onnx,torch", ["--device", "npu:0"], (2, "none of onnx, torch has the device npu:0")),
        ("onnx,torch", [], (4, "needs the weights")),
        ("onnx", ["--precision", "fp16"], (2, "backend onnx has no precision 'fp16'")),
    ],
)
def test_backends_that_do_not_go_together(run, dataset, backend, options, wrong):
    code, message = wrong
    done = run(*options, "--annotations", "truth.json", "set", backend=backend)
    assert (done.code, done.out) == (code, "")
    assert message in done.err


# --- bad images and truth


def test_bad_images_cost_themselves(run, dataset, write_picture):
    Path("set/1.png").write_text("no picture")
    Path("set/2.png").unlink()
    write_picture("set/more.png")
    done = run("--annotations", "truth.json", *SAME, "set", "gone*.png")
    assert done.code == 3
    assert done.out.startswith("yolox, 1 image, 3 others could not be evaluated, ")
    assert "mAP              1.0000" in done.out
    assert done.err.splitlines() == [
        "note: 1 image without truth skipped: set/more.png",
        "error: nothing matches gone*.png",
        "  Check the pattern.",
        "error: 1 annotated image is not among the sources: 2.png",
        "  The figures leave them out.",
        "error: set/1.png is not an image of a known format",
        "  Convert it to PNG or JPEG.",
    ]
    content = json.loads(run("--annotations", "truth.json", "--json", "set", "gone*.png").out)
    assert content["images"] == {"scored": 1, "skipped": 1, "missing": 1, "errors": 3}
    assert [(error["source"], error["code"]) for error in content["errors"]] == [
        ("gone*.png", 3),
        ("2.png", 3),
        ("set/1.png", 3),
    ]


def test_an_unreadable_image_is_told_once_for_all_backends(run, dataset, nano_artifact):
    Path("set/1.png").write_text("no picture")
    options = ["--weights", nano_artifact.weights, "--annotations", "truth.json", *SAME]
    done = run(*options, "set", backend="onnx,torch")
    assert (done.code, done.err.count("set/1.png")) == (3, 1)
    assert done.out.startswith("yolox, 2 images, 1 other could not be evaluated, ")


def test_no_image_can_be_read(run, dataset):
    for number in range(3):
        Path(f"set/{number}.png").write_text("no picture")
    done = run("--annotations", "truth.json", "set")
    assert (done.code, "mAP" in done.out) == (3, False)
    assert done.out.startswith("yolox, 0 images, 3 others could not be evaluated")
    content = json.loads(run("--annotations", "truth.json", "--json", "set").out)
    assert (content["backends"], len(content["errors"])) == ([], 3)


def no_boxes(content):
    return content | {"annotations": []}


def foreign_image(content):
    return content | {"images": content["images"][:2]}


def other_categories(content):
    return (
        content
        | {"categories": [{"id": i, "name": f"thing {i}"} for i in (5, 6, 7, 8)]}
        | {"annotations": [*content["annotations"], {"image_id": 1, "category_id": 8, "bbox": [0, 0, 5, 5]}]}
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (no_boxes, "it holds no box"),
        (foreign_image, "is of image 3, which is not in its images"),
        (other_categories, "no class for the categories thing 5, thing 6, thing 7, thing 8"),
        (lambda _content: [], "is a list"),
    ],
    ids=["empty", "image", "categories", "list"],
)
def test_bad_truth_is_told_before_anything_is_run(run, dataset, monkeypatch, change, message):
    monkeypatch.setattr(module, "collect", None)
    Path("truth.json").write_text(json.dumps(change(dataset)))
    done = run("--annotations", "truth.json", "set")
    assert (done.code, done.out) == (3, "")
    assert message in done.err
    assert len(done.err.splitlines()) == 2


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ([], 2, "no SOURCE"),
        (["set"], 2, "yolox gives detections, and needs boxes"),
        (["--annotations", "gone.json", "set"], 3, "no such file: gone.json"),
        (["--annotations", "truth.json", "--cropped", "set"], 2, "yolox looks at whole images"),
        (["--annotations", "truth.json", "--classes", "dog", "set"], 2, "there is no class 'dog'"),
        (["--annotations", "truth.json", "--conf", "2", "set"], 2, "--conf"),
        (["--annotations", "truth.json", "truth*.json"], 3, "none of 3 annotated images"),
        (["-m", "gone.onnx", "set"], 4, "gone.onnx"),
    ],
)
def test_wrong_options(run, dataset, options, code, message):
    done = run(*options)
    assert (done.code, done.out) == (code, "")
    assert message in done.err


def test_interrupted(run, dataset, monkeypatch):
    def interrupt(*_args, **_more):
        raise KeyboardInterrupt

    monkeypatch.setattr(Predictor, "predict_timed", interrupt)
    assert run("--annotations", "truth.json", "set") == (130, "", "\ninterrupted\n")


def test_untrained_weights_are_told(invoke, dataset, with_seal):
    resealed = with_seal(weights={"sha256": "0", "origin": "seeded:0", "untrained": True})
    options = ["-m", resealed, "--backend", "onnx", "--annotations", "truth.json", "set"]
    done = invoke(evaluate, *options)
    assert "untrained weights: the figures mean nothing" in done.out
    assert json.loads(invoke(evaluate, *options, "--json").out)["untrained"] is True


def test_neither_torch_nor_onnx_is_imported(nano_artifact, dataset):
    code = (
        "import sys; from cvport.runtimes.commands import cvrun; sys.argv[0] = 'cvrun'\n"
        "try: cvrun.main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print(*sys.modules)"
    )
    options = ["eval", "-m", nano_artifact.onnx, "--backend", "onnx", "--annotations", "truth.json", "set"]
    done = subprocess.run([sys.executable, "-c", code, *options], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    *table, modules = done.stdout.splitlines()
    assert table[0].startswith("yolox, 3 images")
    assert not {"torch", "onnx", "rich", "matplotlib"} & {name.partition(".")[0] for name in modules.split()}


def test_help(invoke):
    done = invoke(evaluate, "--help")
    assert (done.code, done.err) == (0, "")
    assert "cvrun eval --annotations instances_val.json val/" in done.out


# --- faces and classes, their networks stood in for by formulas


class Formula:
    """A backend that answers by a formula."""

    name, device, precision = "onnx", "cpu", "fp32"
    inputs, outputs, settings, parallel = (), (), {}, True

    def __init__(self, answer):
        self.run = lambda inputs: answer(*inputs.values())

    def warm_up(self, inputs):
        pass

    def is_warm(self, inputs):
        return True

    def close(self):
        pass


@pytest.fixture
def with_formula(invoke, monkeypatch):
    """``with_formula(model, formula)(options)`` evaluates a model whose network is a formula."""

    def with_formula(model, answer, labels=()):
        spec = get_model(model)
        before, after = (kind() for kind in spec.params_types)
        monkeypatch.setattr(
            module, "open_predictor", lambda *_args, **_more: Predictor(spec, Formula(answer), before, after, labels)
        )
        return lambda *options: invoke(evaluate, "-m", model, "--backend", "onnx", *options)

    return with_formula


def brightness(rows):
    """Class 0 for dark images, class 1 for bright ones."""
    light = rows.mean(axis=(1, 2, 3)) > 0
    return {"logits": np.stack([~light * 5, light * 5, light * 0], axis=1).astype(np.float32)}


@pytest.fixture
def shades(tmp_path):
    """Dark images in ``shades/sad``, bright ones in ``shades/happy``, and one of each in the wrong folder."""
    import cv2

    for name, grey in {"sad/1": 0, "sad/2": 0, "sad/3": 255, "happy/1": 255, "happy/2": 0}.items():
        path = tmp_path / f"shades/{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((20, 30, 3), grey, np.uint8))
    return Path("shades")


def test_classes_of_folders(with_formula, shades):
    run = with_formula("emotion", brightness, ("sad", "happy", "fear"))
    done = run("-v", shades)
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "emotion, 5 images\n"
        "\n"
        "                     onnx\n"
        "top-1              0.6000\n"
        "precision (macro)  0.5833\n"
        "recall (macro)     0.5833\n"
        "\n"
        "class  images  chosen  correct  precision  recall\n"
        "sad         3       3        2     0.6667  0.6667\n"
        "happy       2       2        1     0.5000  0.5000\n"
        "fear        0       0        0          -       -\n"
        "\n"
        "confusion: the truth in rows, what was chosen in columns\n"
        "       sad  happy\n"
        "sad      2      1\n"
        "happy    1      1\n"
    )
    (entry,) = json.loads(run("--json", "--batch-size", 2, shades).out)["backends"]
    assert entry["figures"]["top_1"] == 0.6
    assert entry["confusion"] == [[2, 1, 0], [1, 1, 0], [0, 0, 0]]


def test_classes_of_a_file(with_formula, shades):
    Path("labels.csv").write_text("file,label\nsad/1.png,sad\nhappy/2.png,sad\nhappy/1.png,Happy\n")
    done = with_formula("emotion", brightness, ("sad", "happy", "fear"))(
        "--annotations", "labels.csv", "--json", shades / "sad", shades / "happy"
    )
    assert "note: 2 images without truth skipped" in done.err
    assert json.loads(done.out)["backends"][0]["figures"]["top_1"] == 1.0


def test_a_folder_that_is_no_class(with_formula, shades):
    (shades / "sad").rename(shades / "sadd")
    done = with_formula("emotion", brightness, ("sad", "happy", "fear"))(shades)
    assert done == (3, "", "error: emotion has no class 'sadd' (3 images)\n  Did you mean 'sad'?\n")


def middles(rows):
    """Every point in the middle of what the network sees."""
    return {"landmarks": np.zeros((len(rows), 68, 2), np.float32)}


@pytest.fixture
def ibug(write_picture):
    """Two pictures with a face of 40 pixels in a corner: 67 points in its middle, but for the two corners of eyes."""
    for name in ("a", "b"):
        write_picture(f"ibug/{name}.png")
        rows = ["31 31"] * 68
        rows[36], rows[45] = "11 31", "51 31"
        Path(f"ibug/{name}.pts").write_text("\n".join(["version: 1", "n_points: 68", "{", *rows, "}"]))
    return Path("ibug")


def test_landmarks_in_the_box_of_their_points(with_formula, ibug):
    """The box is 10,30 to 50,30 but for its height, so the middle of the crop is that of the eyes: 2 x 20 px off."""
    for name in ("a", "b"):
        path = ibug / f"{name}.pts"
        path.write_text(path.read_text().replace("31 31", "31 11", 1).replace("31 31", "31 51", 1))
    done = with_formula("landmarks68", middles)("--json", ibug)
    assert (done.code, done.err) == (0, "")
    (entry,) = json.loads(done.out)["backends"]
    assert entry["figures"]["nme_mean"] == pytest.approx(100 * (4 * 20 / 68) / 40, abs=0.01)
    assert [face["source"] for face in entry["faces"]] == ["ibug/a.png", "ibug/b.png"]
    assert list(json.loads(done.out)["settings"]) == []


def test_landmarks_in_whole_images(with_formula, ibug):
    """The middle of 120x90 is 59.77, 44.82 by the network's grid; the points are at 30, 30 and 10 or 50, 30."""
    done = with_formula("landmarks68", middles)("--cropped", "--json", ibug)
    x, y = 127.5 * 120 / 256, 127.5 * 90 / 256
    distances = [np.hypot(x - 30, y - 30)] * 66 + [np.hypot(x - 10, y - 30), np.hypot(x - 50, y - 30)]
    (entry,) = json.loads(done.out)["backends"]
    assert entry["figures"]["nme_mean"] == pytest.approx(100 * np.mean(distances) / 40, abs=0.01)
    assert (entry["figures"]["failure_rate"], entry["figures"]["auc"]) == (100.0, 0.0)


def test_bad_faces_cost_themselves(with_formula, ibug, write_picture):
    path = ibug / "b.pts"
    good = path.read_text().replace("31 31", "31 11", 1)
    (ibug / "a.pts").write_text(good)
    path.write_text(re.sub(r"^(\d)", "99\\1", good, flags=re.M))
    write_picture("ibug/c.png")
    (ibug / "c.pts").write_text(good)
    (ibug / "c.png").write_text("no picture")
    done = with_formula("landmarks68", middles)("-v", ibug)
    assert done.code == 3
    assert done.out.startswith("landmarks68, 1 image, 2 others could not be evaluated\n")
    assert "largest errors" in done.out
    assert "lies outside of the image of 120x90" in done.err
    assert "c.png is not an image" in done.err


def test_another_model_s_kind(with_formula, monkeypatch):
    run = with_formula("emotion", brightness)
    predictor = module.open_predictor()
    predictor.spec = replace(predictor.spec, kind="depth")
    monkeypatch.setattr(module, "open_predictor", lambda *_args, **_more: predictor)
    done = run("x.png")
    assert (done.code, done.out) == (2, "")
    assert "results of the kind depth cannot be evaluated" in done.err
