"""Annotated images: where they go, and never two under one name."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from cvport import Detections, InputError, UsageError, draw, read_image
from cvport.exporters.gate.probes import scene
from cvport.runtimes.job import Timing
from cvport.runtimes.sinks.base import Failure, Prediction
from cvport.runtimes.sinks.images import ImageSink, ImageTarget

TWO = Detections(
    boxes=np.array([[1.25, 2.5, 30.0625, 40], [0, 0, 7.0004, 8]], np.float32),
    scores=np.array([0.875, 0.12345678], np.float32),
    class_ids=np.array([1, 0], np.int64),
    labels=("left, hand", "hand"),
)
NONE = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), ())


def saver_for(target, backend, **more):
    return ImageSink(ImageTarget.parse(str(target)), backend, **more)


@pytest.fixture
def image():
    return scene(48, 64, seed=0)


def test_picture_is_the_drawn_one(tmp_path, image):
    path = saver_for(tmp_path / "new" / "out", "onnx").save("photos/a.png", image, TWO)
    assert path == tmp_path / "new/out/a_onnx.png"
    np.testing.assert_array_equal(read_image(path), draw(image, TWO))


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("a.jpg", "a_torch.jpg"),
        ("/x/y/b.JPEG", "b_torch.jpeg"),
        ("c.webp", "c_torch.webp"),
        ("d.bmp", "d_torch.bmp"),
        ("e.tiff", "e_torch.tiff"),
        ("f.gif", "f_torch.png"),
        ("g.avif", "g_torch.png"),
        ("h", "h_torch.png"),
        ("i.2.jpg", "i.2_torch.jpg"),
        ("手 [1].png", "手 [1]_torch.png"),
    ],
)
def test_names(tmp_path, image, source, name):
    path = saver_for(tmp_path, "torch").save(source, image, NONE)
    assert path == tmp_path / name
    assert read_image(path).shape == image.shape


def test_same_names_from_two_folders_are_kept_apart(tmp_path):
    saver = saver_for(tmp_path, "onnx")
    sources = ["x/a.png", "y/a.png", "z/a.gif", "x/b.png", "x/a_onnx-2.png", "y/a.bmp"]
    pictures = [np.full((4, 4, 3), 40 * i, np.uint8) for i in range(len(sources))]
    paths = [saver.save(source, picture, NONE) for source, picture in zip(sources, pictures, strict=True)]
    names = ["a_onnx.png", "a_onnx-2.png", "a_onnx-3.png", "b_onnx.png", "a_onnx-2_onnx.png", "a_onnx.bmp"]
    assert [path.name for path in paths] == names
    for path, picture in zip(paths, pictures, strict=True):
        np.testing.assert_array_equal(read_image(path), picture)


def test_earlier_run_is_overwritten(tmp_path, image):
    for _ in range(2):
        saver_for(tmp_path, "onnx").save("a.png", image, NONE)
    assert [path.name for path in tmp_path.iterdir()] == ["a_onnx.png"]


@pytest.mark.parametrize("name", ["out.jpg", "out.PNG", "new/out.webp"])
def test_file_as_target(tmp_path, image, name):
    saver = saver_for(tmp_path / name, "onnx")
    assert ImageTarget.parse(str(tmp_path / name)).is_file
    assert saver.save("a.gif", image, TWO) == tmp_path / name
    assert read_image(tmp_path / name).shape == image.shape


def test_folder_whose_name_looks_like_a_picture(tmp_path, image):
    (tmp_path / "set.jpg").mkdir()
    saver = saver_for(tmp_path / "set.jpg", "onnx")
    assert saver.save("a.png", image, NONE) == tmp_path / "set.jpg/a_onnx.png"


@pytest.mark.parametrize("target", ["taken/folder", "taken", "taken/file.png"])
def test_target_that_cannot_be_written(tmp_path, image, target):
    (tmp_path / "taken").write_text("a file where a folder should be")
    with pytest.raises(InputError, match="cannot write") as caught:
        saver_for(tmp_path / target, "onnx").save("a.png", image, NONE)
    assert caught.value.exit_code == 3
    assert "another place" in caught.value.hint


def test_full_disk(tmp_path, image, monkeypatch):
    def write_bytes(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(InputError, match=r"cannot write .*a_onnx\.png: No space left on device"):
        saver_for(tmp_path, "onnx").save("a.png", image, NONE)


@pytest.mark.parametrize("source", ["a.jpg", "a.webp"])
def test_picture_too_long_for_its_format_is_an_error_and_no_empty_file(tmp_path, source):
    with pytest.raises(InputError, match="the format does not hold 70000x1 pixels") as caught:
        saver_for(tmp_path, "onnx").save(source, np.zeros((1, 70_000, 3), np.uint8), NONE)
    assert "PNG" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [None, cv2.error("Assertion failed")])
def test_encoder_that_fails(tmp_path, image, monkeypatch, error):
    """OpenCV 5 returns False, some versions of OpenCV 4 raise."""

    def imencode(suffix, pixels):
        if error:
            raise error
        return False, None

    monkeypatch.setattr(cv2, "imencode", imencode)
    with pytest.raises(InputError, match="does not hold 64x48"):
        saver_for(tmp_path, "onnx").save("a.png", image, NONE)


def test_source_is_not_overwritten(tmp_path):
    source = tmp_path / "x.png"
    cv2.imwrite(str(source), np.zeros((20, 20, 3), dtype=np.uint8))
    before = source.read_bytes()
    with pytest.raises(InputError, match="overwrite the source"):
        saver_for(source, "onnx").save(str(source), np.zeros((20, 20, 3), dtype=np.uint8), NONE)
    assert source.read_bytes() == before


# --- what --save means


@pytest.mark.parametrize(
    ("text", "is_file"),
    [
        ("out", False),
        ("out/", False),
        ("out.xyz/", False),
        ("one.png/", False),
        ("a.b/out", False),
        (".", False),
        ("..", False),
        (".hidden", False),
        ("there.v2", False),
        ("one.png", True),
        ("new/one.TIFF", True),
    ],
)
def test_target(tmp_path, monkeypatch, text, is_file):
    monkeypatch.chdir(tmp_path)
    Path("there.v2").mkdir()
    assert ImageTarget.parse(text) == (Path(text), is_file, False)


@pytest.mark.parametrize("text", ["out.xyz", "new/out.gif", "photos.v2", "a.mp3"])
def test_target_that_ends_in_no_image_format(text):
    with pytest.raises(UsageError, match=f"--save {text}: .* is not an image format") as caught:
        ImageTarget.parse(text)
    assert ".jpg .jpeg .png .webp" in caught.value.hint
    assert f"--save {text}/" in caught.value.hint


# --- as a sink


def test_what_was_written_is_told(tmp_path, image):
    told = []
    with saver_for(tmp_path, "onnx", tell=told.append, note="made up") as sink:
        sink.write(Prediction("x/a.png", 64, 48, TWO, Timing(1, 2, 3), image))
        sink.fail(Failure("x/b.png", InputError("no such file: x/b.png")))
    assert told == [tmp_path / "a_onnx.png"]
    np.testing.assert_array_equal(read_image(told[0]), draw(image, TWO, note="made up"))
    assert [path.name for path in tmp_path.iterdir()] == ["a_onnx.png"]
