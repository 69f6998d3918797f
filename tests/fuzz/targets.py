"""The table of what is fuzzed: name -> the module that has its `Target`, and its name there."""

from __future__ import annotations

import importlib

from fuzz.judging import Target

TARGETS = {
    "seal": "seals",
    "onnx_file": "onnx_files",
    "pth": "checkpoints:PTH",
    "safetensors": "checkpoints:SAFETENSORS",
    "plan": "checkpoints:PLAN",
    "postprocess": "decoding",
    "image": "pictures",
    "stored": "stored_results",
    "capture": "evidence:CAPTURE",
    "arrays": "evidence:ARRAYS",
    "record": "evidence:RECORD",
    "nodes": "operators",
    "words": "words",
}


def get_target(name: str) -> Target:
    """Return a target, importing what it needs."""
    module, _, attribute = TARGETS[name].partition(":")
    target: Target = getattr(importlib.import_module(f"fuzz.{module}"), attribute or "TARGET")
    return target
