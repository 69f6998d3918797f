"""Annotated pictures: never two under one name."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from cvport import Detections, InputError, draw, read_image
from cvport.exporters.gate.probes import scene
from cvport.runtimes.sinks.images import PictureSaver

TWO = Detections(
    boxes=np.array([[1.25, 2.5, 30.0625, 40], [0, 0, 7.0004, 8]], np.float32),
    scores=np.array([0.875, 0.12345678], np.float32),
    class_ids=np.array([1, 0], np.int64),
    labels=("left, hand", "hand"),
)
NONE = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), ())


@pytest.fixture
def image():
    return scene(48, 64, seed=0)


def test_picture_is_the_drawn_one(tmp_path, image):
    path = PictureSaver(tmp_path / "new" / "out", "onnx").save("photos/a.png", image, TWO)
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
    path = PictureSaver(tmp_path, "torch").save(source, image, NONE)
    assert path == tmp_path / name
    assert read_image(path).shape == image.shape


def test_same_names_from_two_folders_are_kept_apart(tmp_path):
    saver = PictureSaver(tmp_path, "onnx")
    sources = ["x/a.png", "y/a.png", "z/a.gif", "x/b.png", "x/a_onnx-2.png", "y/a.bmp"]
    pictures = [np.full((4, 4, 3), 40 * i, np.uint8) for i in range(len(sources))]
    paths = [saver.save(source, picture, NONE) for source, picture in zip(sources, pictures, strict=True)]
    names = ["a_onnx.png", "a_onnx-2.png", "a_onnx-3.png", "b_onnx.png", "a_onnx-2_onnx.png", "a_onnx.bmp"]
    assert [path.name for path in paths] == names
    for path, picture in zip(paths, pictures, strict=True):
        np.testing.assert_array_equal(read_image(path), picture)


def test_earlier_run_is_overwritten(tmp_path, image):
    for _ in range(2):
        PictureSaver(tmp_path, "onnx").save("a.png", image, NONE)
    assert [path.name for path in tmp_path.iterdir()] == ["a_onnx.png"]


@pytest.mark.parametrize("name", ["out.jpg", "out.PNG", "new/out.webp"])
def test_file_as_target(tmp_path, image, name):
    saver = PictureSaver(tmp_path / name, "onnx")
    assert saver.is_file
    assert saver.save("a.gif", image, TWO) == tmp_path / name
    assert read_image(tmp_path / name).shape == image.shape


def test_folder_whose_name_looks_like_a_picture(tmp_path, image):
    (tmp_path / "set.jpg").mkdir()
    saver = PictureSaver(tmp_path / "set.jpg", "onnx")
    assert not saver.is_file
    assert saver.save("a.png", image, NONE) == tmp_path / "set.jpg/a_onnx.png"


@pytest.mark.parametrize("target", ["taken/folder", "taken", "taken/file.png"])
def test_target_that_cannot_be_written(tmp_path, image, target):
    (tmp_path / "taken").write_text("a file where a folder should be")
    with pytest.raises(InputError, match="cannot write") as caught:
        PictureSaver(tmp_path / target, "onnx").save("a.png", image, NONE)
    assert caught.value.exit_code == 3
    assert "--save" in caught.value.hint


def test_full_disk(tmp_path, image, monkeypatch):
    def write_bytes(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(InputError, match=r"cannot write .*a_onnx\.png: No space left on device"):
        PictureSaver(tmp_path, "onnx").save("a.png", image, NONE)


@pytest.mark.parametrize("source", ["a.jpg", "a.webp"])
def test_picture_too_long_for_its_format_is_an_error_and_no_empty_file(tmp_path, source):
    with pytest.raises(InputError, match="the format does not hold 70000x1 pixels") as caught:
        PictureSaver(tmp_path, "onnx").save(source, np.zeros((1, 70_000, 3), np.uint8), NONE)
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
        PictureSaver(tmp_path, "onnx").save("a.png", image, NONE)


def test_source_is_not_overwritten(tmp_path):
    source = tmp_path / "x.png"
    cv2.imwrite(str(source), np.zeros((20, 20, 3), dtype=np.uint8))
    before = source.read_bytes()
    empty = Detections(*(np.zeros(shape, dtype=np.float32) for shape in ((0, 4), 0, 0)), ())
    with pytest.raises(InputError, match="overwrite the source"):
        PictureSaver(source, "onnx").save(str(source), np.zeros((20, 20, 3), dtype=np.uint8), empty)
    assert source.read_bytes() == before
