"""Sinks that write a file for each image or box, and videos."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from cvport import Classification, Detections, InputError, Landmarks, UsageError, get_model
from cvport.runtimes.job import Timing
from cvport.runtimes.sinks.base import Prediction, RunInfo
from cvport.runtimes.sinks.crops import CropSink
from cvport.runtimes.sinks.images import ImageSink, ImageTarget
from cvport.runtimes.sinks.registry import open_format
from cvport.runtimes.sinks.videos import VideoFile

YOLOX = RunInfo(get_model("yolox"), "onnx", "cpu", labels=("hand", "a/b c"))
FACES = RunInfo(get_model("landmarks68"), "onnx", "cpu")
EMOTION = RunInfo(get_model("emotion"), "onnx", "cpu")
FOUND = Detections(
    np.array([[10, 20, 50, 60], [-3, 70.5, 8.2, 99.5], [5, 5, 5, 9]], np.float32),
    np.array([0.9, 0.5, 0.4], np.float32),
    np.array([1, 0, 0]),
    ("a/b c", "hand", "hand"),
)
NONE = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), ())


def picture(value=0, shape=(100, 200)):
    pixels = np.full((*shape, 3), value, np.uint8)
    pixels[20:60, 10:50] = (0, 0, 255)
    return pixels


def predicted(source, result=FOUND, image=None, **more):
    image = picture() if image is None else image
    return Prediction(source, image.shape[1], image.shape[0], result, Timing(1, 2, 3), image, **more)


# --- YOLO's text files


def test_yolo(tmp_path):
    with open_format("yolo", YOLOX, tmp_path / "labels") as sink:
        for source, result in (("x/a.png", FOUND), ("y/a.jpg", NONE)):
            sink.write(predicted(source, result))
        sink.write(predicted("clip.mp4", NONE, frame=7, time_s=0.5))
    files = {path.name: path.read_text() for path in (tmp_path / "labels").iterdir()}
    assert sorted(files) == ["a-2.txt", "a.txt", "clip_000007.txt"]
    assert files["a-2.txt"] == ""
    first, *_ = files["a.txt"].splitlines()
    # (10 + 50) / 2 / 200, (20 + 60) / 2 / 100, 40 / 200, 40 / 100
    assert first == "1 0.150000 0.400000 0.200000 0.400000 0.900000"


@pytest.mark.parametrize("info", [FACES, EMOTION])
def test_yolo_is_for_boxes_with_a_class(tmp_path, info):
    with pytest.raises(UsageError, match="yolo has no place for"):
        open_format("yolo", info, tmp_path)


# --- crops


def test_crops(tmp_path):
    with CropSink(YOLOX, tmp_path / "crops") as sink:
        sink.write(predicted("x/a.png"))
        sink.write(predicted("a.png"))
    names = sorted(path.name for path in (tmp_path / "crops").iterdir())
    assert names == ["a_0_a-b-c-2.png", "a_0_a-b-c.png", "a_1_hand-2.png", "a_1_hand.png"]
    first = cv2.imread(str(tmp_path / "crops/a_0_a-b-c.png"))
    assert first.shape == (40, 40, 3)
    assert (first == (0, 0, 255)).all()
    # -3 .. 8.2 and 70.5 .. 99.5, within the image and rounded outwards
    assert cv2.imread(str(tmp_path / "crops/a_1_hand.png")).shape == (30, 9, 3)


def test_crops_of_faces_and_of_kinds_without_boxes(tmp_path):
    faces = Landmarks(np.zeros((2, 68, 2), np.float32), np.array([[0, 0, 10, 20], [5, 5, 30, 40]], np.float32))
    with CropSink(FACES, tmp_path) as sink:
        sink.write(predicted("a.jpg", faces))
        sink.write(predicted("b.jpg", replace(faces, boxes=None)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a_0.jpg", "a_1.jpg"]
    with pytest.raises(UsageError, match="emotion finds classes, which have no boxes"):
        CropSink(EMOTION, tmp_path)


# --- COCO's results


def write_annotations(path, categories, **images):
    content = {
        "images": [{"id": number, "file_name": name} for name, number in images.items()],
        "annotations": [],
        "categories": [{"id": number, "name": name} for name, number in categories.items()],
    }
    path.write_text(json.dumps(content))
    return path


class Text(list):
    write = list.append

    def flush(self):
        pass


def test_coco_results_have_the_ids_of_the_annotations(tmp_path):
    path = write_annotations(tmp_path / "truth.json", {"Hand": 18, "A/B C": 44}, **{"val/a.png": 7, "b.png": 9})
    out = Text()
    with open_format("coco", YOLOX, out, path) as sink:
        sink.write(predicted("some/where/a.png"))
        sink.write(predicted("b.png", NONE))
        with pytest.raises(InputError, match=r"c\.png is not in the annotations"):
            sink.write(predicted("c.png"))
    rows = json.loads("".join(out))
    assert [(row["image_id"], row["category_id"]) for row in rows] == [(7, 44), (7, 18), (7, 18)]
    assert sorted(rows[0]) == ["bbox", "category_id", "image_id", "score"]
    assert rows[0]["bbox"] == [10, 20, 40, 40]
    coco = pytest.importorskip("pycocotools.coco").COCO(str(path))
    assert coco.loadRes(str(_file(tmp_path, rows))).getImgIds() == [7, 9]


def _file(folder, rows):
    path = folder / "results.json"
    path.write_text(json.dumps(rows))
    return path


def test_coco_categories_in_order_or_not_at_all(tmp_path):
    out = Text()
    with open_format("coco", YOLOX, out, write_annotations(tmp_path / "t.json", {"x": 3, "y": 5}, a=1)) as sink:
        sink.write(predicted("a"))
    assert [row["category_id"] for row in json.loads("".join(out))] == [5, 3, 3]
    with pytest.raises(UsageError, match="none of the model's 2 classes is among the 3 categories"):
        open_format("coco", YOLOX, out, write_annotations(tmp_path / "t.json", {"x": 3, "y": 5, "z": 6}, a=1))
    with pytest.raises(UsageError, match="belongs to coco, not to csv"):
        open_format("csv", YOLOX, out, tmp_path / "t.json")


# --- videos


def frames_of(path):
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        done, frame = capture.read()
        if not done:
            return frames, capture.get(cv2.CAP_PROP_FPS)
        frames.append(frame)


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv", ".webm"])
def test_a_video_has_the_rate_of_its_first_frames(tmp_path, suffix):
    video = VideoFile(tmp_path / f"new/out{suffix}")
    for number in range(5):
        video.add(picture(50 * number), number * 0.1)
    assert not video.path.exists()
    assert video.close() == video.path
    frames, rate = frames_of(video.path)
    assert (len(frames), frames[0].shape) == (5, (100, 200, 3))
    assert rate == pytest.approx(10, abs=0.1)
    np.testing.assert_allclose([frame[90, 150].mean() for frame in frames], [0, 50, 100, 150, 200], atol=6)
    assert [path.name for path in video.path.parent.iterdir()] == [video.path.name]


def test_frames_of_another_size_are_scaled_into_the_first(tmp_path):
    video = VideoFile(tmp_path / "out.avi")
    video.add(picture(shape=(101, 201)), None)
    video.add(np.full((50, 50, 3), 255, np.uint8), None)
    video.close()
    frames, rate = frames_of(video.path)
    assert [frame.shape for frame in frames] == [(100, 200, 3)] * 2, "even sides"
    assert rate == pytest.approx(25)
    assert frames[1][:, :98].min() > 240
    assert frames[1][:, 103:].max() < 16


def test_a_video_of_one_frame_and_of_none(tmp_path):
    one = VideoFile(tmp_path / "one.mp4")
    one.add(picture(), 0.0)
    one.close()
    assert len(frames_of(one.path)[0]) == 1
    assert VideoFile(tmp_path / "none.mp4").close() is None
    assert [path.name for path in tmp_path.iterdir()] == ["one.mp4"]


def test_videos_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    video = VideoFile(tmp_path / "file/out.mp4")
    video.add(picture(), 0.0)
    with pytest.raises(InputError, match="cannot write"):
        video.add(picture(), 0.1)
    with pytest.raises(UsageError, match=r"\.gif is no video that can be written"):
        VideoFile(tmp_path / "out.gif")


def test_a_disk_that_fills_up_is_told(tmp_path, monkeypatch):
    video = VideoFile(tmp_path / "out.mp4")
    video.add(picture(), 0.0)
    video.add(picture(), 0.1)
    monkeypatch.setattr(video, "_readable", lambda: 1)
    with pytest.raises(InputError, match=r"cannot write .* whole"):
        video.close()
    assert list(tmp_path.iterdir()) == []


def test_frames_of_a_video_become_a_video_and_pages_images(tmp_path):
    told = []
    with ImageSink(ImageTarget(tmp_path / "out", is_file=False), "onnx", told.append) as sink:
        for number in range(3):
            sink.write(predicted("x/clip.mp4", frame=number, time_s=number / 20))
            sink.write(predicted("rtsp://***@camera:554/live", frame=number, time_s=number / 20))
        sink.write(predicted("pages.tif", frame=0, time_s=0.0))
        sink.write(predicted("pages.tif", frame=1, time_s=0.0))
        sink.write(predicted("a.png"))
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["a_onnx.png", "clip_onnx.mp4", "live_onnx.mp4", "pages_onnx-2.tif", "pages_onnx.tif"]
    frames, rate = frames_of(tmp_path / "out/clip_onnx.mp4")
    assert (len(frames), rate) == (3, pytest.approx(20, abs=0.1))
    assert (np.abs(frames[0].astype(int) - picture()) > 60).any(), "boxes are drawn"
    assert {Path(path).name for path in told} == set(names)


def test_all_images_become_the_video_that_is_named(tmp_path):
    target = ImageTarget.parse(str(tmp_path / "all.avi"))
    assert (target.is_file, target.is_video) == (False, True)
    with ImageSink(target, "onnx") as sink:
        for name in ("a.png", "b.png"):
            sink.write(predicted(name))
    assert len(frames_of(tmp_path / "all.avi")[0]) == 2


def test_scores_have_no_crops_but_a_picture(tmp_path):
    scores = Classification(np.array([0.25, 0.75], np.float32), ("sad", "happy"))
    with ImageSink(ImageTarget(tmp_path, is_file=False), "onnx") as sink:
        sink.write(predicted("a.png", scores))
    assert (cv2.imread(str(tmp_path / "a_onnx.png")) != picture()).any()
