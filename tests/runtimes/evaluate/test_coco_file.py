"""COCO datasets, good and bad."""

import json

import pytest

from cvport import errors
from cvport.runtimes.evaluate.coco_file import TruthBox, read_coco


def test_boxes_by_file(write_coco):
    path = write_coco(
        {"b.png": [("dog", (1, 2, 3, 4)), ("cat", (0, 0, 5, 5), {"area": 7, "iscrowd": 1})], "a.png": []},
        ["cat", "dog"],
    )
    dataset = read_coco(path)
    assert dataset.categories == {1: "cat", 2: "dog"}
    assert dataset.images == {
        "b.png": [TruthBox(2, (1, 2, 3, 4), 12, crowd=False), TruthBox(1, (0, 0, 5, 5), 7, crowd=True)],
        "a.png": [],
    }
    assert dataset.used == {1, 2}
    assert dataset.sizes == {}


def test_sizes_where_they_are_told(write_coco):
    images = [{"id": 1, "file_name": "a.png", "width": 30, "height": 20}, {"id": 2, "file_name": "b.png", "width": 3}]
    path = write_coco({"a.png": [("cat", (0, 0, 5, 5))]}, ["cat"], images=images)
    assert read_coco(path).sizes == {"a.png": (30, 20)}


def test_categories_come_by_ascending_id(write_coco):
    categories = [{"id": 9, "name": "dog"}, {"id": 2, "name": "cat"}]
    path = write_coco(
        {"a.png": []}, [], categories=categories, annotations=[{"image_id": 1, "category_id": 9, "bbox": [0, 0, 1, 1]}]
    )
    assert list(read_coco(path).categories.items()) == [(2, "cat"), (9, "dog")]


def box(**changes):
    return {"annotations": [{"id": 7, "image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5]} | changes]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (box(image_id=99), "annotation 7 is of image 99, which is not in its images"),
        (box(category_id=5), "annotation 7 is of category 5, which is not in its categories"),
        (box(bbox=[1, 2, 3]), r"annotation 7 has no box of four numbers: \[1, 2, 3\]"),
        (box(bbox=None), "annotation 7 has no box of four numbers: None"),
        (box(bbox=[0, 0, -1, 5]), "annotation 7 has a box without extent"),
        (box(bbox=[0, 0, float("nan"), 5]), "annotation 7 has a box without extent"),
        (box(bbox=[0, 0, "wide", 5]), "cannot use the annotations"),
        (box(image_id=[1]), r"\[1\] is no id"),
        ({"annotations": [{"image_id": 1, "category_id": 1, "caption": "a cat"}]}, "an entry has no 'bbox'"),
        ({"annotations": []}, "it holds no box"),
        ({"annotations": [3]}, "annotations holds something that is no object"),
        ({"images": [{"id": 1}]}, "an entry has no 'file_name'"),
        ({"images": [{"id": 1, "file_name": "a"}] * 2}, "two of its images have the same id"),
        ({"images": [{"id": i, "file_name": "a"} for i in (1, 2)]}, "two of its images have the file name 'a'"),
        ({"categories": [{"id": 1, "name": "a"}] * 2}, "two of its categories have the same id"),
        ({"categories": {}}, "it has no list of categories"),
    ],
)
def test_what_contradicts_itself_is_refused(write_coco, changes, message):
    path = write_coco({"a.png": [("cat", (0, 0, 5, 5))]}, ["cat"], **changes)
    with pytest.raises(errors.InputError, match=message) as caught:
        read_coco(path)
    assert str(path) in caught.value.message
    assert "Give a COCO dataset" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"{", "cannot read the annotations"),
        (b"\xff\xfe{}", "cannot read the annotations"),
        (b"[" * 100_000, "cannot read the annotations"),
        (json.dumps([{"image_id": 1}]).encode(), "is a list, such as results are"),
        (b"3", "it has no list of images, annotations, categories"),
    ],
)
def test_what_is_no_dataset_is_refused(tmp_path, content, message):
    path = tmp_path / "truth.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(errors.InputError, match=message):
        read_coco(path)
