"""Values from inside a network on a device, in a capture: searched in two rounds. The device is simulated."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest

from cvport.errors import ArtifactError, InputError, UsageError, WeightsError
from cvport.exporters.bisect.run import bisect
from cvport.exporters.bisect.taps import parse_places, take_taps
from cvport.exporters.gate.capture import make_capture
from cvport.exporters.gate.capture_file import Capture
from cvport.runtimes.seal import read_seal

pytestmark = pytest.mark.usefixtures("traced_once")

# A kernel that several convolutions of the head run: the first of them is the one to be named.
WRONG = (64, 64, 1, 1)


@pytest.fixture
def take(small):
    """Take taps from the small network."""

    def taken(choice):
        return take_taps(small.spec, small.plan, small.network, parse_places(choice), None)

    return taken


@pytest.fixture
def capture(small, npu, file, tmp_path):
    """Make a capture of taps alone: what else is in one has its own tests."""

    def made(choice, **changes):
        taken = take_taps(small.spec, small.plan, small.network, parse_places(choice), None)
        seal = json.loads(read_seal(file).to_json())
        npu_settings = {"device": "npu:0", "settings": {"strict": {"simulated": True}}}
        described = {"schema_version": 2, "seal": seal, "onnx_sha256": None, "npu": npu_settings, "environment": {}}
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.npz"
        Capture({**described, "taps": taken.meta, **changes}, taken.arrays).write(path)
        return str(path)

    return made


def test_two_rounds_name_the_operator(npu, capture, file, tmp_path):
    npu.wrong_for = WRONG
    first = bisect(file, against=capture("8"))
    assert (first.verdict, first.stage, first.captured, first.simulated) == ("diverges", "network", True, True)
    begin, end = first.to_dict()["first"]["interval"]
    second = bisect(file, against=capture(f"{begin}:{end}"), output=tmp_path / "kept")
    (operator,) = second.first.operators
    assert operator.kind == "Conv"
    assert second.first.introduced.shape[1] == WRONG[0]
    with np.load(second.folder / "values.npz") as values:
        ratio = values[f"output/{operator.outputs[0]}"]
    assert ratio.shape == second.first.introduced.shape


def test_a_capture_with_taps_is_one_of_the_whole_network_too(npu, file, sealed_weights, tmp_path):
    made = make_capture(file, weights=sealed_weights, taps="auto")
    assert 16 <= len(made.meta["taps"]["values"]) < 80
    assert "0/npu/strict/cls_0" in made.arrays
    made.write(tmp_path / "c.npz")
    found = bisect(file, against=str(tmp_path / "c.npz"))
    assert (found.verdict, found.first, found.simulated) == ("same", None, True)


def test_all_values_are_kept_where_asked_for(npu, take):
    everything, few = (take(choice).meta["values"] for choice in ("all", "3"))
    assert len(everything) > 200
    assert set(few) < set(everything)
    assert {"cls_0", "reg_0", "obj_2"} <= set(few), "what comes out is always there"
    with pytest.raises(UsageError, match="no operator nowhere"):
        take("nowhere:neither")


def test_capture_without_taps_is_refused(capture, file):
    with pytest.raises(InputError, match="no taps") as refusal:
        bisect(file, against=capture("1", taps=None))
    assert refusal.value.exit_code == 3


def test_capture_of_something_else_is_refused(capture, file):
    seal = json.loads(read_seal(file).to_json())
    with pytest.raises(WeightsError, match="other weights"):
        bisect(file, against=capture("1", seal={**seal, "weights": {**seal["weights"], "sha256": "1" * 64}}))
    with pytest.raises(ArtifactError, match="preprocess differ"):
        bisect(file, against=capture("1", seal={**seal, "preprocess": {}}))


def test_capture_of_other_names_is_refused(capture, file):
    model = onnx.load(file)
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [f"{name}_" if name and name != "input" else name for name in names]
    for names in (model.graph.initializer, model.graph.output):
        for entry in names:
            entry.name += "_"
    onnx.save(model, file)
    with pytest.raises(ArtifactError, match="no values of the same names"):
        bisect(file, against=capture("1"))


@pytest.mark.parametrize("choice", ["0", "some", "-3", ":", "a:", ""])
def test_wrong_choices_are_refused_before_anything_is_run(choice):
    with pytest.raises(UsageError, match="--taps"):
        make_capture("yolox", weights="none.pth", taps=choice)
