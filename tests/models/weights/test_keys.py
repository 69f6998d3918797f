"""Reading structure from keys and shapes."""

from cvport.models.weights.keys import common_size, count, has, named, sample, sizes, vote

SHAPES = {"a.0.weight": (4, 3), "a.1.weight": (4, 9), "a.12.weight": (5,), "b.bias": (), "b.empty": (0, 2)}


def test_keys_are_matched_at_their_beginning():
    assert has(SHAPES, r"a\.\d\.")
    assert not has(SHAPES, r"weight")
    assert list(named(SHAPES, r"a\.(\d+)")) == ["0", "1", "12"]


def test_sizes_along_an_axis_leave_out_what_has_none():
    assert list(sizes(SHAPES, "", 0)) == [4, 4, 5]
    assert list(sizes(SHAPES, "", 1)) == [3, 9, 2]


def test_the_majority_decides_and_the_first_of_equals():
    assert vote([1, 2, 2]) == 2
    assert vote([3, 1]) == 3
    assert vote([]) is None
    assert common_size(SHAPES, r"a\.", 0) == 4
    assert common_size(SHAPES, r"c\.", 0) == 1


def test_lists_are_counted_by_their_largest_index():
    assert count(SHAPES, "a") == 13
    assert count(SHAPES, "b") == 1


def test_a_message_shows_a_few_keys():
    assert sample(SHAPES) == "a.0.weight, a.1.weight, a.12.weight ..."
    assert sample({"x": ()}) == "x"
    assert sample({}) == "none at all"
