"""The lines that the 68 points of a face lie on, as data.

Points are numbered as by iBUG 300-W (Sagonas et al., 300 Faces in-the-Wild Challenge, ICCVW 2013). The lines are the
edges that the network was trained to find: conf/alignment.py of ZhenglinZhou/STAR, data definition 300W.
"""

from __future__ import annotations

from ..results import Contour, Skeleton

# Every point is on exactly one of them.
CONTOURS: tuple[Contour, ...] = (
    Contour("FaceContour", tuple(range(17)), closed=False),
    Contour("RightEyebrow", tuple(range(17, 22)), closed=False),
    Contour("LeftEyebrow", tuple(range(22, 27)), closed=False),
    Contour("NoseLine", tuple(range(27, 31)), closed=False),
    Contour("Nose", tuple(range(31, 36)), closed=False),
    Contour("RightEye", tuple(range(36, 42)), closed=True),
    Contour("LeftEye", tuple(range(42, 48)), closed=True),
    Contour("OuterLip", tuple(range(48, 60)), closed=True),
    Contour("InnerLip", tuple(range(60, 68)), closed=True),
)
NUM_POINTS = sum(len(contour.points) for contour in CONTOURS)
# 300-W numbers its points and names none.
SKELETON = Skeleton(tuple(map(str, range(NUM_POINTS))), CONTOURS)
