"""Checkpoints: the bytes of .pth and .safetensors files, and what models make of keys and shapes."""

from __future__ import annotations

import atexit
import io
import json
import logging
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

from cvport.errors import UsageError, WeightsError
from cvport.models.registry import MODELS, get_model
from cvport.models.spec import VariantOptions
from cvport.models.weights.checkpoint import Checkpoint, read_checkpoint
from cvport.models.weights.keys import shapes_of
from fuzz.judging import SilentChangeError, Target
from fuzz.mutate import mutate_bytes, mutate_json

_MOST_VALUES = 1 << 24


def run_pth(data: bytes) -> None:
    """Read a pickle; what a zip file with checksums holds is one of the seeds or refused."""
    state = _read(data, "some.pth")
    if data.startswith(b"PK") and not any(_equal(state, good) for good in _good_states()):
        raise SilentChangeError(f"a damaged file is read as {state}")


def run_safetensors(data: bytes) -> None:
    """Read a safetensors file."""
    _read(data, "some.safetensors")


def run_plan(data: bytes) -> None:
    """Decide what a checkpoint of these keys and shapes turns into."""
    try:
        content = json.loads(data)
        name, shapes = content["model"], dict(content["shapes"])
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise WeightsError("not an input of this target") from error
    if name not in tuple(MODELS):
        raise WeightsError("not an input of this target")
    state = {}
    for key, shape in shapes.items():
        sides = [side for side in shape if type(side) is int] if isinstance(shape, list) else []
        if all(0 <= side <= _MOST_VALUES for side in sides) and len(sides) < 7 and np.prod(sides, dtype=float) < 2**31:
            state[key] = torch.zeros(()).expand(sides)
    spec = get_model(name)
    plan = spec.plan(Checkpoint(state, "some.pth", "0f" * 32), VariantOptions())
    json.dumps([plan.variant.to_dict(), plan.labels, plan.variant.title])


def _read(data: bytes, name: str) -> dict[str, torch.Tensor]:
    path = _folder() / name
    path.write_bytes(data)
    state = dict(read_checkpoint(path, name).state)
    # What follows looks at shapes, and at every value.
    for key, value in state.items():
        if not isinstance(key, str) or value.numel() * value.element_size() > _MOST_VALUES + 100 * len(data):
            raise SilentChangeError(f"{key!r} has {value.numel()} values, the file {len(data)} bytes")
        value.clone()
    shapes_of(state)
    return state


def _equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return list(first) == list(second) and all(
        value.dtype == second[key].dtype and torch.equal(value, second[key]) for key, value in first.items()
    )


@cache
def _folder() -> Path:
    logging.getLogger("cvport").setLevel(logging.ERROR)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _contents() -> list[object]:
    rng = np.random.default_rng(0)
    state = {
        "stem.conv.weight": torch.from_numpy(rng.normal(size=(2, 3, 3, 3)).astype(np.float32)),
        "stem.bn.num_batches_tracked": torch.tensor(7),
        "head.half": torch.ones(3, dtype=torch.float16),
        "head.view": torch.arange(12.0).reshape(3, 4).T,
    }
    wrapped = {"model": {f"module.{key}": value for key, value in state.items()}, "epoch": 3, "meta": {"config": "{}"}}
    return [state, wrapped]


@cache
def _good_states() -> list[dict[str, torch.Tensor]]:
    path = _folder() / "good.pth"
    states = []
    for content in _contents():
        torch.save(content, path)
        states.append(dict(read_checkpoint(path, "good.pth").state))
    return states


def _saved(content: object, **options: object) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


@cache
def pth_seeds() -> list[bytes]:
    """Zip files, files of before PyTorch 1.6, and a pickle of numbers."""
    old = [_saved(content, _use_new_zipfile_serialization=False) for content in _contents()]
    return [*map(_saved, _contents()), *old]


@cache
def safetensors_seeds() -> list[bytes]:
    """The same tensors without a pickle."""
    state = {key: value.contiguous() for key, value in _contents()[0].items()}
    return [save(state), save({"a": torch.zeros(0, 4), "b": torch.ones(1, dtype=torch.bfloat16)}, {"format": "pt"})]


@cache
def plan_seeds() -> list[bytes]:
    """The keys and shapes of the default network of every model."""
    found = []
    for name in MODELS:
        spec = get_model(name)
        with torch.device("meta"):
            network = spec._load("network")(spec._load("default_variant"))
        shapes = {key: list(value.shape) for key, value in network.state_dict().items()}
        found.append(json.dumps({"model": name, "shapes": shapes}).encode())
    return found


PTH = Target(pth_seeds, run_pth, mutate_bytes, (WeightsError.exit_code,))
SAFETENSORS = Target(safetensors_seeds, run_safetensors, mutate_bytes, (WeightsError.exit_code,))
PLAN = Target(plan_seeds, run_plan, mutate_json, (WeightsError.exit_code, UsageError.exit_code))
