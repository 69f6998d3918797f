"""Turns an image into the input of a ViT classifier. numpy, cv2 and Pillow."""

from __future__ import annotations

from dataclasses import dataclass

from ..ops.whole_image import WholeImageParams, preprocess

__all__ = ["PreprocessParams", "preprocess"]


@dataclass(frozen=True)
class PreprocessParams(WholeImageParams):
    """The numbers of the preprocessing, see `WholeImageParams`.

    Defaults are those of transformers' ViTImageProcessor (models/vit/image_processing_vit.py: values / 255, then mean
    and standard deviation 0.5, RGB).
    """

    input_size: tuple[int, int] = (224, 224)
