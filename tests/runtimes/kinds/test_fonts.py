"""Text as pixels."""

import pytest

from cvport.runtimes.kinds.fonts import can_write, chinese_font, coverage, extent


@pytest.mark.parametrize("rim", [0, 1, 3])
@pytest.mark.parametrize("text", ["hand 0.93", "人手 0.93", "g"])
def test_coverage_fills_its_extent(text, rim):
    size, pixels = extent(text, 20), coverage(text, 20, rim)
    assert pixels.shape == (size.height + 2 * rim, size.width + 2 * rim)
    assert pixels.max() == 255
    assert pixels[0].any()
    assert pixels[-1].any()
    assert not pixels.flags.writeable


def test_larger_letters_are_larger():
    assert extent("hand", 30).width > 1.4 * extent("hand", 20).width
    assert coverage("", 20).size == 0


def test_what_can_be_written():
    assert can_write("hand é 0.5")
    assert can_write("人手") == (chinese_font() is not None)
    assert not can_write("a\U000f0000")
