"""Seals: a file with a mutated one is loaded and run, with a backend in the place of its network."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np

from cvport.errors import ArtifactError
from cvport.models.registry import MODELS, get_model
from cvport.models.yolox.preprocess import params_for
from cvport.runtimes import load as loading
from cvport.runtimes.backends.base import Declared
from cvport.runtimes.probe import Probe, Samples, measure_probe, probe_input, read_probe
from cvport.runtimes.seal import SCHEMA_VERSION, Seal
from fuzz.judging import SilentChangeError, Target
from fuzz.mutate import mutate_json

# Small inputs: what is read is the same, and what is computed takes no time.
_SIZES = {"yolox": (64, 64), "nanodet": (64, 96)}
_OTHERS = (32, 48)
_VARIANTS = {"yolox": {"activation": "silu", "backbone": "CSPDarknet", "depth": 0.33, "blocks": [1, 3]}}
# Batches that are run; larger ones are sound, and take long.
_MOST_ROWS = 64
_IMAGES = [np.random.default_rng(0).integers(0, 256, size, np.uint8) for size in ((40, 60, 3), (1, 1, 3))]


@cache
def seal_of(name: str) -> Seal:
    """A seal of a model, as an export makes it."""
    spec = get_model(name)
    size = _SIZES.get(name, _OTHERS)
    preprocess_type, postprocess_type = spec.params_types
    preprocess = params_for("megvii", size) if name == "yolox" else preprocess_type(input_size=size)
    postprocess = postprocess_type(**({"input_size": size} if name == "landmarks68" else {}))
    probe = Probe(7, {output: Samples((0, 1), np.array([0.5, -1.25])) for output in spec.output_names})
    return Seal(
        schema_version=SCHEMA_VERSION,
        model=name,
        title=name,
        variant=_VARIANTS.get(name, {}),
        input_size=size,
        batch="dynamic",
        labels=spec.labels,
        preprocess=asdict(preprocess),
        postprocess=asdict(postprocess),
        weights={"sha256": "0f" * 32, "origin": "nano.pth", "untrained": True, "assumed": ["preprocess megvii"]},
        opset=18,
        tools={"onnx": "1.23.2", "torch": "2.13.0"},
        probe=probe.to_dict(),
        digest="ab" * 32,
    )


class StubBackend:
    """Declares and gives the tensors of a model's true seal, whatever the file says."""

    name, device, precision, parallel, settings = "onnx", "cpu", "fp32", True, {}

    def __init__(self, name: str) -> None:
        spec, seal = get_model(name), seal_of(name)
        params = spec.params_types[1](**seal.postprocess)
        shapes = spec.output_shapes(params, seal.labels, seal.input_size)
        shapes = {output: tuple(32 if side is None else side for side in shape) for output, shape in shapes.items()}
        self._input = (3, *seal.input_size)
        rng = np.random.default_rng(0)
        self._rows = {output: rng.normal(0, 2, (1, *shape)).astype(np.float32) for output, shape in shapes.items()}
        self.inputs, self.outputs = spec.signature
        self.declared = {
            entry: Declared("float32", (None, *shape))
            for entry, shape in ((spec.input_name, self._input), *shapes.items())
        }

    def run(self, inputs):
        (value,) = inputs.values()
        if value.shape[1:] != self._input or value.dtype != np.float32:
            raise SilentChangeError(f"the network gets {value.dtype} {value.shape}")
        return {name: np.repeat(row, len(value), axis=0) for name, row in self._rows.items()}

    def is_warm(self, _inputs):
        return True

    def warm_up(self, _inputs):
        pass

    def close(self):
        pass


def run(data: bytes) -> None:
    """Load a file with this seal, run it, and read its probe."""
    text, model = data.decode("utf-8", "replace"), _named(data)
    path = Path("some.onnx")
    with (
        mock.patch.object(loading, "read_seal", lambda path: Seal.from_json(text, path)),
        mock.patch.object(loading, "open_backend", return_value=_stub(model)),
        loading.load(path, backend="onnx", check_integrity=False) as predictor,
    ):
        seal = predictor.seal
        _compare(seal, text)
        if isinstance(seal.batch, int) and seal.batch > _MOST_ROWS:
            return
        results = predictor.predict_batch(_IMAGES)
        # What a command prints has to be JSON and UTF-8.
        told = {"title": seal.title, "assumed": predictor.assumed, "results": [entry.to_dict() for entry in results]}
        json.dumps(told, allow_nan=False, ensure_ascii=False).encode()
        if seal.probe is not None:
            _use_probe(predictor, seal, path)


def _use_probe(predictor, seal, path) -> None:
    spec = predictor.spec
    probe = read_probe(seal, spec.output_names, path)
    rows = 1 if isinstance(seal.batch, str) else seal.batch
    inputs = probe_input(spec, predictor.preprocess_params, seal.input_size, probe.seed, rows)
    measure_probe(probe, predictor.backend.run({spec.input_name: inputs}), rows, path)


def _compare(seal: Seal, text: str) -> None:
    """Refuse a seal that is not what the text says."""
    given = {name: value for name, value in json.loads(text).items() if value is not None}
    if json.dumps(given, sort_keys=True) != json.dumps(json.loads(seal.to_json()), sort_keys=True):
        raise SilentChangeError(f"accepted as {seal}")
    if Seal.from_json(seal.to_json(), "it") != seal:
        raise SilentChangeError("it does not survive its own JSON")


def _named(data: bytes) -> str:
    """The model whose network is behind the backend: the one that the text names, else any."""
    with suppress(ValueError, TypeError, KeyError, RecursionError):
        if (name := json.loads(data)["model"]) in MODELS:
            return name
    return "yolox"


@cache
def _stub(name: str) -> StubBackend:
    return StubBackend(name)


def seeds() -> list[bytes]:
    """A seal of every model, and one as version 1 had it."""
    texts = [seal_of(name).to_json().encode() for name in MODELS]
    old = json.loads(texts[0]) | {"schema_version": 1}
    return [*texts, json.dumps({k: v for k, v in old.items() if k not in ("form", "probe", "digest")}).encode()]


TARGET = Target(seeds, run, mutate_json, (ArtifactError.exit_code,))
