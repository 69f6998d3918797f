"""Landmarks against points that somebody set."""

from dataclasses import replace

import numpy as np
import pytest

from cvport import errors
from cvport.models.results import Landmarks
from cvport.runtimes.evaluate.base import Truth
from cvport.runtimes.evaluate.landmarks import EVALUATION, normalised_error, read, score
from cvport.runtimes.sources.base import Item


def face(seed=0):
    """68 points whose outer eye corners are 50 pixels apart."""
    points = np.random.default_rng(seed).uniform(10, 90, (68, 2))
    points[36], points[45] = (20, 30), (50, 70)
    return points


def moved(points, x, y=0):
    return points + np.array([x, y])


def landmarks(points):
    return Landmarks(points[None].astype(np.float32))


def test_error_by_hand():
    true = face()
    shifted = moved(true, 3, 4)
    assert normalised_error(true, true) == 0
    assert normalised_error(shifted, true) == pytest.approx(100 * 5 / 50)
    one = true.copy()
    one[8] += [0, 17]
    assert normalised_error(one, true) == pytest.approx(100 * (17 / 68) / 50)


def test_the_true_eyes_are_the_measure():
    true = face()
    found = true.copy()
    found[36] = found[45]
    assert normalised_error(found, true) == pytest.approx(100 * (50 / 68) / 50)


def test_figures_by_hand():
    """Errors of 1, 2, 6 and 10 %: one of four fails; below 8 % there is 7/8, 6/8, 2/8 and nothing."""
    truth = Truth([Item(name) for name in "abcd"], {name: face() for name in "abcd"})
    errors_ = dict(zip("abcd", (1, 2, 6, 10), strict=True))
    got = score(truth, {name: landmarks(moved(face(), error / 2)) for name, error in errors_.items()})
    assert got.figures == {
        "nme_mean": pytest.approx(4.75, abs=1e-4),
        "nme_median": pytest.approx(4.0, abs=1e-4),
        "failure_rate": 25.0,
        "auc": pytest.approx(100 * (7 + 6 + 2) / 8 / 4, abs=1e-3),
    }
    assert [(row["source"], round(row["nme"], 3)) for row in got.rows] == [("a", 1), ("b", 2), ("c", 6), ("d", 10)]
    assert EVALUATION.details(got)[:2] == ["largest errors", "10.000  d"]


def test_area_is_that_under_the_curve():
    rng = np.random.default_rng(1)
    sizes = rng.uniform(0, 12, 40)
    names = [str(number) for number in range(40)]
    truth = Truth([Item(name) for name in names], {name: face() for name in names})
    got = score(truth, {name: landmarks(moved(face(), size / 2)) for name, size in zip(names, sizes, strict=True)})
    steps = np.linspace(0, 8, 8001)
    shares = [(sizes <= step).mean() for step in steps]
    assert got.figures["auc"] == pytest.approx(100 * np.mean(shares), abs=0.02)


def test_no_face():
    assert set(score(Truth([], {}), {}).figures.values()) == {None}


# --- files


def write_points(path, points):
    lines = [f"{x + 1:.3f} {y + 1:.3f}" for x, y in points]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["version: 1", f"n_points: {len(points)}", "{", *lines, "}"]))


def test_points_beside_the_images(request_for, write_images, tmp_path):
    write_images("a.png", "b.png", "c.png")
    write_points(tmp_path / "a.pts", face(1))
    write_points(tmp_path / "b.pts", face(2))
    truth = read(request_for("landmarks68", (), [tmp_path]))
    a, b, c = (str(tmp_path / name) for name in ("a.png", "b.png", "c.png"))
    assert [item.name for item in truth.items] == [a, b]
    assert truth.skipped == [c]
    np.testing.assert_allclose(truth.answers[b], face(2), atol=1e-3)
    assert truth.boxes[a] == pytest.approx([*face(1).min(axis=0), *face(1).max(axis=0)], abs=1e-3)


def test_whole_images(request_for, write_images, tmp_path):
    write_images("a.png")
    write_points(tmp_path / "a.pts", face())
    assert read(request_for("landmarks68", (), [tmp_path], cropped=True)).boxes is None


def test_points_in_a_folder(request_for, write_images, tmp_path):
    write_images("set/a.png", "set/b.jpg", "set/c.png")
    for name in ("a", "sub/b", "gone"):
        write_points(tmp_path / f"points/{name}.pts", face())
    truth = read(request_for("landmarks68", (), [tmp_path / "set"], annotations=tmp_path / "points"))
    assert [item.name for item in truth.items] == [str(tmp_path / "set/a.png"), str(tmp_path / "set/b.jpg")]
    assert [failure.source for failure in truth.failures] == ["gone.pts"]
    assert (truth.missing, truth.skipped) == (1, [str(tmp_path / "set/c.png")])


def test_bad_points_cost_their_image(request_for, write_images, tmp_path):
    write_images("a.png", "b.png", "c.png", "d.png")
    write_points(tmp_path / "a.pts", face())
    write_points(tmp_path / "b.pts", face()[:5])
    (tmp_path / "c.pts").write_text("points")
    closed = face()
    closed[36] = closed[45]
    write_points(tmp_path / "d.pts", closed)
    truth = read(request_for("landmarks68", (), [tmp_path]))
    assert [item.name for item in truth.items] == [str(tmp_path / "a.png")]
    told = [failure.error.message for failure in truth.failures]
    assert [failure.source for failure in truth.failures] == [str(tmp_path / f"{name}.png") for name in "bcd"]
    assert ["has 5 points, not 68" in told[0], "is no file" in told[1], "are one point" in told[2]] == [True] * 3
    (tmp_path / "a.pts").unlink()
    with pytest.raises(errors.InputError, match="has 5 points, not 68"):
        read(request_for("landmarks68", (), [tmp_path]))


def test_missing_images_come_last(request_for, write_images, tmp_path):
    write_images("set/a.png", "set/b.png")
    write_points(tmp_path / "points/a.pts", face())
    write_points(tmp_path / "points/b.pts", face()[:5])
    write_points(tmp_path / "points/gone.pts", face())
    truth = read(request_for("landmarks68", (), [tmp_path / "set"], annotations=tmp_path / "points"))
    assert [failure.source for failure in truth.failures] == [str(tmp_path / "set/b.png"), "gone.pts"]
    assert truth.missing == 1


def test_no_points(request_for, write_images, tmp_path):
    write_images("a.png")
    with pytest.raises(errors.InputError, match=r"no image has points beside it, such as .*a\.pts") as caught:
        read(request_for("landmarks68", (), [tmp_path]))
    assert "--annotations DIR" in caught.value.hint
    with pytest.raises(errors.InputError, match=r"no \.pts files in"):
        read(request_for("landmarks68", (), [tmp_path], annotations=tmp_path))
    with pytest.raises(errors.InputError, match="is no folder"):
        read(request_for("landmarks68", (), [tmp_path], annotations=tmp_path / "a.png"))
    with pytest.raises(errors.InputError, match="nothing matches"):
        read(request_for("landmarks68", (), [tmp_path / "*.jpg"]))


def test_another_number_of_points(request_for, tmp_path):
    request = request_for("landmarks68", (), [tmp_path])
    spec = replace(request.spec, skeleton="string:digits")  # something of length 10
    with pytest.raises(errors.UsageError, match=r"landmarks68 finds 10 points, .* for the 68 of 300-W"):
        read(replace(request, spec=spec))
