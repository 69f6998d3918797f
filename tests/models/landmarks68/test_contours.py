"""The lines of the face: every point on one of them, in the order of the training's edges."""

from cvport.models.landmarks68.contours import CONTOURS, NUM_POINTS


def test_every_point_is_on_exactly_one_contour():
    points = [point for contour in CONTOURS for point in contour.points]
    assert points == list(range(68))
    assert NUM_POINTS == 68


def test_names_lengths_and_which_are_closed():
    assert [(contour.name, len(contour.points), contour.closed) for contour in CONTOURS] == [
        ("FaceContour", 17, False),
        ("RightEyebrow", 5, False),
        ("LeftEyebrow", 5, False),
        ("NoseLine", 4, False),
        ("Nose", 5, False),
        ("RightEye", 6, True),
        ("LeftEye", 6, True),
        ("OuterLip", 12, True),
        ("InnerLip", 8, True),
    ]
