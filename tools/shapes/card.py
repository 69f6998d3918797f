"""The folder of finished weights: the file in half precision, its configuration, the record, the model card."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from cvport.models.yolox.preprocess import params_for

from .data import CONVENTION
from .photos import HELD_OUT, TRAINING
from .training import FINAL_SIDE

WEIGHTS, CONFIG, RECORD, CARD = "model.safetensors", "config.json", "training.json", "README.md"
_TEMPLATE = Path(__file__).with_name("card.md.tmpl")
_COUNTER = "num_batches_tracked"


def write_weights(folder: Path, state: Mapping[str, Tensor], classes: Sequence[str]) -> None:
    """Write the weights in float16, and beside them what a network cannot tell of itself.

    Args:
        folder: Made where it is missing.
        state: Float32 weights by key.
        classes: Names in the order of the network's outputs.

    Raises:
        ValueError: A weight is beyond float16's range.

    """
    folder.mkdir(parents=True, exist_ok=True)
    halves = {key: value.half().contiguous() for key, value in state.items() if not key.endswith(_COUNTER)}
    lost = [key for key, value in halves.items() if not value.isfinite().all()]
    if lost:
        raise ValueError(f"float16 cannot hold {', '.join(lost)}")
    save_file(halves, folder / WEIGHTS)
    _write_json(folder / CONFIG, _config(classes))


def _config(classes: Sequence[str]) -> dict[str, Any]:
    """Return classes and preprocessing as EasyCV's configurations tell them."""
    params = params_for(CONVENTION, (FINAL_SIDE, FINAL_SIDE))
    steps = [
        {"type": "MMResize", "img_scale": [FINAL_SIDE, FINAL_SIDE], "keep_ratio": True},
        {"type": "MMPad", "pad_to_square": True, "pad_val": [params.pad_value] * 3},
        {"type": "MMNormalize", "mean": list(params.mean), "std": list(params.std), "to_rgb": params.colour == "rgb"},
    ]
    return {"CLASSES": list(classes), "model": {"type": "YOLOX", "act": "silu"}, "test_pipeline": steps}


def describe(folder: Path, settings: Mapping[str, Any], figures: Mapping[str, Any]) -> None:
    """Write the record of the training and the model card.

    Args:
        folder: See `write_weights`.
        settings: ``seed``, ``images``, ``minutes``.
        figures: See `shapes.scoring.score`, with ``seed`` and ``count`` of the scenes.

    """
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    made = {"cpu": _cpu(), "threads": torch.get_num_threads(), "torch": torch.__version__.partition("+")[0]}
    photos = {"training": list(TRAINING), "scoring": list(HELD_OUT)}
    record = {"sha256": digest, "training": {**settings, **made}, "scoring": dict(figures), "photos": photos}
    _write_json(folder / RECORD, record)
    (folder / CARD).write_text(render(record, (folder / WEIGHTS).stat().st_size), encoding="utf-8")


def render(record: Mapping[str, Any], size: int) -> str:
    """Return the model card of a record, for a file of *size* bytes."""
    training, scoring = record["training"], record["scoring"]
    classes = list(scoring["classes"])
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        classes=", ".join(classes),
        number=len(classes),
        kilobytes=f"{size / 1e3:,.0f}",
        side=FINAL_SIDE,
        seed=training["seed"],
        images=f"{training['images']:,}",
        minutes=training["minutes"],
        cpu=training["cpu"],
        threads=training["threads"],
        torch=training["torch"],
        map=f"{scoring['map']:.3f}",
        map_50=f"{scoring['map_50']:.3f}",
        map_75=f"{scoring['map_75']:.3f}",
        count=f"{scoring['count']:,}",
        scoring_seed=scoring["seed"],
        rows="\n".join(f"| {name} | {value:.3f} |" for name, value in scoring["classes"].items()),
        training_photos=_listed(TRAINING),
        scoring_photos=_listed(HELD_OUT),
        command=f"python -m shapes train --seed {training['seed']} --images {training['images']}",
    )


def _listed(photos: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {licence}" for name, licence in photos.items())


def _cpu() -> str:
    """Return the processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
