"""Files of points."""

import numpy as np
import pytest

from cvport import errors
from cvport.runtimes.evaluate.points_file import read_points


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\nn_points:  2\n{\n1.0 1.0\n30.5 41\n}\n",
        "version: 1 \r\nn_points: 2 \r\n{ \r\n1 1 \r\n3.05e1 41.0 \r\n}",
        "\ufeffn_points: 2\n{\n1 1\n30.5 41\n}\n\n",
    ],
)
def test_pixels_are_counted_from_1_in_the_file(tmp_path, text):
    path = tmp_path / "a.pts"
    path.write_text(text, encoding="utf-8")
    np.testing.assert_array_equal(read_points(path), [[0, 0], [29.5, 40]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "is no file of points"),
        (b"version: 1\nn_points: 2\n{\n1 1\n2 2\n", "is no file of points"),
        (b"version: 1\nn_points: 2\n{\n1 1\n2\n}", "announces 2 points and holds 3 coordinates"),
        (b"version: 1\nn_points: 1\n{\n1 1\n2 2\n}", "announces 1 points and holds 4 coordinates"),
        (b"version: 1\nn_points: 1\n{\nnan 1\n}", "announces 1 points"),
        (b"version: 1\nn_points: 1\n{\n1 x\n}", "holds something that is no number"),
        (b"\xff\xfe\x00", "cannot read the points"),
    ],
)
def test_what_is_no_file_of_points(tmp_path, content, message):
    path = tmp_path / "a.pts"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(errors.InputError, match=message) as caught:
        read_points(path)
    assert str(path) in caught.value.message
