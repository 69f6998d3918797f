"""Turns an image of a hand into the input of a gesture classifier. numpy, cv2 and Pillow."""

from __future__ import annotations

from dataclasses import dataclass

from ..ops.whole_image import WholeImageParams, preprocess

__all__ = ["PreprocessParams", "preprocess"]


@dataclass(frozen=True)
class PreprocessParams(WholeImageParams):
    """The numbers of the preprocessing, see `WholeImageParams`.

    Defaults are upstream's: modelscope/models/cv/hand_static/hand_model.py of modelscope/modelscope, which scales with
    Pillow's bilinear filter, divides by 255 and normalises with 0.5 and 0.5.
    """

    input_size: tuple[int, int] = (112, 112)
