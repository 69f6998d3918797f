"""The choice of a backend, before anything else is looked at."""

import pytest
import torch

from cvport.errors import BackendError, UsageError
from cvport.models.registry import get_model
from cvport.runtimes.backends import onnx as onnx_backend
from cvport.runtimes.backends import registry as backend
from cvport.runtimes.backends import torch as torch_backend
from cvport.runtimes.backends.registry import (
    AUTO_ORDER,
    BACKENDS,
    BackendEntry,
    check_precision,
    choose_backend,
    open_backend,
    unavailable_reason,
)
from cvport.runtimes.load import load

# Those that this machine surely has.
ON_THE_CPU = ("onnx", "torch")


@pytest.mark.parametrize("name", ON_THE_CPU)
def test_known_backends_are_there_and_have_what_a_backend_has(name):
    assert choose_backend(name) == name
    assert unavailable_reason(name) is None
    assert unavailable_reason(name, "cpu") is None
    assert BACKENDS[name].needs in ("onnx", "network")


def test_all_backends_can_be_asked():
    assert set(BACKENDS) == {*ON_THE_CPU, "npu"}
    for name in BACKENDS:
        assert unavailable_reason(name, "toaster").startswith("it has no device 'toaster'\nKnown devices: ")


def test_auto_takes_the_first_that_can_run(monkeypatch):
    assert choose_backend("auto") == "onnx"
    monkeypatch.setattr(backend, "AUTO_ORDER", ("torch", "onnx"))
    assert choose_backend("auto") == "torch"
    monkeypatch.setattr(torch_backend, "unavailable_reason", lambda device: "it is ill")
    assert choose_backend("auto") == "onnx"


def test_auto_tells_why_the_last_cannot_run(monkeypatch):
    monkeypatch.setattr(onnx_backend, "unavailable_reason", lambda device: "it is ill\nGive it tea.")
    with pytest.raises(BackendError) as caught:
        choose_backend("auto")
    assert caught.value.message == f"backend {AUTO_ORDER[-1]} is not available: it is ill"
    assert caught.value.hint == "Give it tea."


def test_auto_goes_by_the_device(monkeypatch):
    asked = []
    monkeypatch.setattr(onnx_backend, "unavailable_reason", asked.append)
    choose_backend("auto", "cuda:3")
    assert set(asked) == {"cuda:3"}


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("onx", "Did you mean 'onnx'?"),
        ("Torch", "Did you mean 'torch'?"),
        ("atuo", "Did you mean 'auto'?"),
        ("tensorflow-lite", "Known: auto, npu, onnx, torch."),
        ("", "Known: auto, npu, onnx, torch."),
    ],
)
def test_unknown_backend(name, hint):
    with pytest.raises(BackendError, match=f"there is no backend '{name}'") as caught:
        choose_backend(name)
    assert caught.value.exit_code == 5
    assert caught.value.hint == hint


@pytest.mark.parametrize(("name", "package"), [("onnx", "onnxruntime"), ("torch", "torch")])
def test_missing_package(monkeypatch, name, package):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(BackendError, match=f"backend {name} is not available: .*cannot be imported") as caught:
        choose_backend(name)
    assert "pip install" in caught.value.hint


@pytest.mark.parametrize("name", ON_THE_CPU)
@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cuda:-1", "cuda:", "cpu:", "cpu:0", "CPU", "npu:0"])
def test_unknown_device(name, device):
    with pytest.raises(BackendError, match=f"backend {name} is not available: it has no device '{device}'") as caught:
        choose_backend(name, device)
    assert "cpu, cuda" in caught.value.hint


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("name", ON_THE_CPU)
@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_cuda_that_is_not_there_is_an_error_and_not_the_cpu(name, device):
    with pytest.raises(BackendError, match="CUDA") as caught:
        choose_backend(name, device)
    assert caught.value.exit_code == 5
    assert "--device cpu" in caught.value.hint


def test_cuda_device_of_too_high_a_number(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_backend("torch", "cuda:1") == "torch"
    with pytest.raises(BackendError, match="there is no cuda:2: 2 CUDA devices"):
        choose_backend("torch", "cuda:2")


@pytest.mark.usefixtures("no_torch_npu")
@pytest.mark.parametrize("networks", [True, False])
def test_auto_blames_the_backend_that_knows_the_device(networks):
    with pytest.raises(BackendError, match="backend npu is not available: torch_npu is not installed"):
        choose_backend("auto", "npu:0", networks=networks)
    assert choose_backend("auto", "cpu") == "onnx"


@pytest.mark.usefixtures("no_torch_npu")
def test_device_of_an_npu_with_an_exported_file(nano_artifact):
    with pytest.raises(BackendError, match="backend npu is not available: torch_npu is not installed"):
        load(nano_artifact.onnx, device="npu:0")


def test_device_that_no_backend_of_auto_knows(monkeypatch):
    with pytest.raises(BackendError, match="backend auto has no device 'tpu:1'") as caught:
        choose_backend("auto", "tpu:1")
    assert caught.value.hint == "Known devices: cpu, cuda, npu."
    monkeypatch.setitem(BACKENDS, "far", BackendEntry("far", "onnx", "far away", ("tpu",)))
    with pytest.raises(BackendError, match="backend auto has no device 'tpu:1'") as caught:
        choose_backend("auto", "tpu:1")
    assert caught.value.hint == "Name the backend: --backend far"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("cuda", "Give both: --backend torch --device cuda:0 or --backend onnx --device cuda:0"),
        ("cuda:1", "Give both: --backend torch --device cuda:1 or --backend onnx --device cuda:1"),
        ("CUDA", "Give both: --backend torch --device cuda:0 or --backend onnx --device cuda:0"),
        ("cpu", "Give both: --backend torch --device cpu or --backend onnx --device cpu"),
        ("npu:0", "Give both: --backend npu --device npu:0"),
    ],
)
def test_device_in_the_place_of_a_backend(name, hint):
    with pytest.raises(UsageError) as caught:
        choose_backend(name)
    assert caught.value.message == f"{name!r} is a device, not a backend"
    assert caught.value.hint == hint
    assert caught.value.exit_code == 2


def test_auto_without_a_network_to_build_runs_files(npu):
    assert choose_backend("auto") == "npu"
    assert choose_backend("auto", networks=False) == "onnx"
    assert choose_backend("npu", networks=False) == "npu", "asked for is asked for"
    assert choose_backend("auto", "npu:0", networks=False) == "npu", "and says that it needs weights"


def test_precision():
    check_precision("onnx", None)
    check_precision("npu", "fp16")
    with pytest.raises(UsageError, match="backend npu has no precision 'fp61'") as caught:
        check_precision("npu", "fp61")
    assert caught.value.hint == "Did you mean 'fp16'?"
    with pytest.raises(UsageError, match="backend onnx has no precision 'fp16'") as caught:
        check_precision("onnx", "fp16")
    assert caught.value.hint == "Leave it out; backends with a choice: npu."


# --- opening


def test_network_has_the_signature_that_it_is_opened_with():
    spec = get_model("yolox")
    with open_backend("torch", torch.nn.Identity(), signature=spec.signature) as backend:
        assert (backend.inputs, backend.outputs) == spec.signature
        assert (backend.name, backend.device, backend.precision, backend.settings) == ("torch", "cpu", "fp32", {})
    with open_backend("torch", torch.nn.Identity()) as backend:
        assert (backend.inputs, backend.outputs) == ((), ())


def test_file_has_its_own_signature(nano_artifact):
    with open_backend("onnx", nano_artifact.onnx, threads=1) as backend:
        assert (backend.inputs, backend.outputs) == get_model("yolox").signature
        assert (backend.name, backend.device, backend.precision, backend.settings) == ("onnx", "cpu", "fp32", {})


@pytest.mark.parametrize("precision", ["strict", "production", "fp16"])
def test_npu_has_the_precision_that_it_is_opened_with(npu, precision):
    spec = get_model("yolox")
    with open_backend("npu", torch.nn.Identity(), precision=precision, signature=spec.signature) as backend:
        assert (backend.inputs, backend.outputs) == spec.signature
        assert (backend.precision, backend.device) == (precision, "npu:0")
        assert backend.settings["precision"] == precision


def test_opening_looks_at_backend_and_precision_first(tmp_path):
    for choice, error in (({"device": "tpu"}, BackendError), ({"precision": "fp16"}, UsageError)):
        with pytest.raises(error):
            open_backend("onnx", tmp_path / "gone.onnx", **choice)
