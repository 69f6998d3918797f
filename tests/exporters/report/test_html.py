"""The report to look at: what is in it, that it is whole in one file, and that a browser shows it."""

from __future__ import annotations

import re
from dataclasses import replace

import cv2
import numpy as np
import pytest

from cvport.exporters.report.html import render_html
from cvport.exporters.report.pictures import draw_pictures
from cvport.exporters.report.record import make_record
from cvport.runtimes.kinds.base import Mark
from helpers.browser import open_page, screenshot

_HOSTILE = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def made(small, tmp_path_factory):
    """A comparison of the small network, and its record."""
    verification = small.verification(tmp_path_factory.mktemp("html"))
    return verification, make_record(verification, "0" * 64, {})


def test_verdict_comes_first_with_what_is_nearest(made):
    verification, record = made
    text = render_html(record, verification)
    assert text.index("passed</span>") < text.index("nearest to its limit") < text.index("Outputs of the network")
    for name in record.limits["tensors"]:
        assert f"<td>{name}</td>" in text
    assert "untrained weights" in text
    assert "10 x " in text, "how limits came about"


def test_everything_is_in_the_file(made):
    verification, record = made
    text = render_html(record, verification)
    assert len(text) < 5_000_000
    assert "<script" not in text
    assert re.findall(r'(?:href|src)="(?!data:)[^"]*"', text) == []
    assert "http" not in text.replace("http-equiv", "").replace(" (https://", "")


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_both_languages_are_there_and_one_opens(made, lang):
    verification, record = made
    text = render_html(record, verification, lang)
    assert "Outputs of the network" in text
    assert "网络输出" in text
    assert f'<html lang="{lang}">' in text
    (checked,) = re.findall(r'id="lang-(..)" checked', text)
    assert checked == lang


def test_labels_and_names_are_escaped(made):
    verification, record = made
    rows = ({"label": _HOSTILE, "other_label": "", "same": False, "score": 1.0},)
    comparisons = tuple(
        replace(entry, case=_HOSTILE, rows=rows) if entry.tier == "decoded" else entry for entry in record.comparisons
    )
    hostile = replace(record, title=_HOSTILE, notes=(_HOSTILE,), comparisons=comparisons)
    text = render_html(hostile, replace(verification, comparisons=()))
    assert "<script" not in text
    assert text.count("&lt;script&gt;") > 4


def test_what_failed_is_named(made):
    verification, record = made
    entry = replace(record.comparisons[-1], verdict="failed", reasons=("a box is far off",))
    text = render_html(replace(record, verdict="failed", comparisons=(*record.comparisons, entry)), verification)
    assert "What did not pass" in text
    assert "a box is far off" in text
    assert 'class="verdict failed"' in text


def test_differences_are_enlarged_until_they_show(made):
    verification, _ = made
    entry = next(entry for entry in verification.comparisons if entry.tier == "decoded" and entry.marks)
    corners = np.array([(100, 100), (200, 100), (200, 200), (100, 200)], np.float32)
    other = corners + np.array((0.002, 0.0), np.float32)
    pairs = ((Mark(corners, outline=True, label="a"), Mark(other, outline=True, label="a")), (Mark(corners), None))
    changed = replace(verification, comparisons=(replace(entry, marks=pairs),))
    (picture,) = draw_pictures(changed, [("-".join(entry.legs), entry.case, entry.what)], 10**6)
    image = next(c for c in verification.reference.cases if c.name == entry.case).regions[0].image
    scale = picture.width / image.shape[1]
    assert picture.factor == 10_000, "0.002 px become 20, which is at most a twenty-fifth of 640"
    moved = picture.second[0].points[0][0] - picture.first[1].points[0][0]
    assert moved == pytest.approx(0.002 * 10_000 * scale, rel=0.01)
    assert len(picture.first) == 2
    assert len(picture.second) == 1


def test_pictures_take_no_more_room_than_they_may(made):
    verification, record = made
    order = [(entry.legs, entry.case, entry.what) for entry in record.comparisons if entry.tier == "decoded"]
    everything = draw_pictures(verification, order, 10**9)
    room = len(everything[0].data) + len(everything[1].data) // 2
    assert len(draw_pictures(verification, order, room + 10_000)) < len(everything)
    assert max(max(picture.width, picture.height) for picture in everything) <= 480


def test_a_browser_shows_it(made, tmp_path):
    verification, record = made
    path = tmp_path / "report.html"
    path.write_text(render_html(record, verification), encoding="utf-8")
    page = open_page(path, tmp_path)
    assert page.messages == []
    assert page.addresses == []
    assert "Outputs of the network" in page.dom
    for size in ((1200, 900), (400, 900)):
        picture = cv2.imread(str(screenshot(path, tmp_path, size)))
        assert picture.shape[1] == size[0]
        assert picture.std() > 20, "the page is not empty"


def test_a_page_that_asks_for_something_is_seen(tmp_path):
    path = tmp_path / "asking.html"
    path.write_text('<img src="http://tracker.invalid/a.png"><script>console.error("no")</script>', encoding="utf-8")
    page = open_page(path, tmp_path)
    assert page.addresses == ["http://tracker.invalid/a.png"]
    assert "no" in page.messages[0]


def test_a_browser_shows_one_language(made, tmp_path):
    """The two language versions differ, which takes a browser that follows the rules of the page."""
    verification, record = made
    pictures = []
    for lang in ("en", "zh"):
        path = tmp_path / f"{lang}.html"
        path.write_text(render_html(record, verification, lang), encoding="utf-8")
        pictures.append(cv2.imread(str(screenshot(path, tmp_path, (800, 600)))))
    assert np.any(pictures[0] != pictures[1])
