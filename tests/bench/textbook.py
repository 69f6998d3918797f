"""YOLOX around its network in the straightforward numpy way, as tutorials and the original demos write it."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from cvport.models.yolox.postprocess import PostprocessParams
from cvport.models.yolox.preprocess import PreprocessParams

Array = NDArray[np.float32]


def preprocess(image: NDArray[np.uint8], params: PreprocessParams) -> tuple[Array, float]:
    """Resize, pad, float32, (x - mean) / std, transpose.

    Returns:
        (1, 3, H, W) float32, and the network's pixels for each of the image's.

    """
    height, width = params.input_size
    ratio = min(height / image.shape[0], width / image.shape[1])
    add = 0.5 if params.rounding == "nearest" else 0.0
    new_width, new_height = int(image.shape[1] * ratio + add), int(image.shape[0] * ratio + add)
    padded = np.full((height, width, 3), params.pad_value, dtype=np.uint8)
    padded[:new_height, :new_width] = cv2.resize(image, (new_width, new_height))
    if params.colour == "rgb":
        padded = padded[:, :, ::-1]
    values = padded.astype(np.float32)
    if params.std != (1.0, 1.0, 1.0):
        values = (values - np.array(params.mean, np.float32)) / np.array(params.std, np.float32)
    return np.ascontiguousarray(values.transpose(2, 0, 1))[None], ratio


def postprocess(outputs: Mapping[str, Array], ratio: float, params: PostprocessParams) -> NDArray[np.float64]:
    """Decode every anchor, then suppress class by class.

    Returns:
        (N, 6) x1 y1 x2 y2 score class.

    """
    rows, grids, strides = [], [], []
    for i, stride in enumerate(params.strides):
        scores = [1 / (1 + np.exp(-outputs[f"{kind}_{i}"])) for kind in ("obj", "cls")]
        level = np.concatenate([outputs[f"reg_{i}"], *scores], axis=1)
        height, width = level.shape[2:]
        rows.append(level.reshape(level.shape[1], -1).T)
        x, y = np.meshgrid(np.arange(width), np.arange(height))
        grids.append(np.stack((x, y), 2).reshape(-1, 2))
        strides.append(np.full((height * width, 1), stride))
    anchors, grid, scale = np.concatenate(rows), np.concatenate(grids), np.concatenate(strides)
    centre, size = (anchors[:, :2] + grid) * scale, np.exp(anchors[:, 2:4]) * scale
    boxes = np.concatenate((centre - size / 2, centre + size / 2), axis=1) / ratio
    scores = anchors[:, 4:5] * anchors[:, 5:]
    return _suppress_classes(boxes, scores, params)


def _suppress_classes(boxes: Array, scores: Array, params: PostprocessParams) -> NDArray[np.float64]:
    found = []
    for class_id in range(scores.shape[1]):
        over = scores[:, class_id] >= params.score_threshold
        if not over.any():
            continue
        some_boxes, some_scores = boxes[over], scores[over, class_id]
        keep = _nms(some_boxes, some_scores, params.iou_threshold)
        ids = np.full((len(keep), 1), class_id)
        found.append(np.concatenate((some_boxes[keep], some_scores[keep, None], ids), axis=1))
    return np.concatenate(found) if found else np.zeros((0, 6))


def _nms(boxes: Array, scores: Array, iou_threshold: float) -> list[int]:
    """Suppress with a loop over the boxes, areas with +1 (Girshick's py_cpu_nms, which most copies descend from)."""
    x1, y1, x2, y2 = boxes.T
    areas = (x2 - x1 + 1) * (y2 - y1 + 1)
    order = scores.argsort()[::-1]
    keep = []
    while order.size > 0:
        best, rest = order[0], order[1:]
        keep.append(int(best))
        width = np.maximum(0, np.minimum(x2[best], x2[rest]) - np.maximum(x1[best], x1[rest]) + 1)
        height = np.maximum(0, np.minimum(y2[best], y2[rest]) - np.maximum(y1[best], y1[rest]) + 1)
        inter = width * height
        order = rest[inter / (areas[best] + areas[rest] - inter) <= iou_threshold]
    return keep
