"""The NPU on the simulated device: why it cannot run, what it computes, and what it leaves behind.

The simulation (tests/npu_sim) says nothing about the speed and the accuracy of an Ascend device.
"""

import importlib.metadata
import json
import logging
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import cvport
from cvport.errors import BackendError, UsageError
from cvport.models.registry import get_model
from cvport.models.yolox.spec import SPEC
from cvport.runtimes.backends import npu as npu_backend
from cvport.runtimes.backends.npu import NpuBackend, unavailable_reason
from cvport.runtimes.backends.registry import choose_backend
from cvport.runtimes.backends.torch import TorchBackend
from helpers.yolox import megvii_variant

YOLOX, NANODET = get_model("yolox"), get_model("nanodet")
MIB = 1 << 20


def device_error(code):
    from npu_sim.machine import device_error

    return device_error(code)


@pytest.fixture(scope="module")
def networks():
    yolox = YOLOX.build_network(SPEC.seeded(0, megvii_variant("nano", 3)))
    nanodet = NANODET.build_network(NANODET.seeded(0))
    return {"yolox": YOLOX.fuse(yolox), "nanodet": NANODET.fuse(nanodet)}


class Tiny(nn.Module):
    """One convolution, so that tests of everything but the numbers are quick."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x):
        y = nn.functional.silu(self.conv(x))
        return {"whole": y, "part": y[:, 1:3, ::2]}


@pytest.fixture(scope="module")
def tiny():
    return Tiny().eval()


def images(rows=2, side=96, seed=0):
    return np.random.default_rng(seed).normal(0, 1, (rows, 3, side, side)).astype(np.float32)


def reference(network, array):
    with TorchBackend(network) as backend:
        return backend.run({"input": array})


def difference(outputs, expected):
    """Return the largest difference, relative to the largest value of its output."""
    assert outputs.keys() == expected.keys()
    for name, values in outputs.items():
        assert values.dtype == np.float32
        assert values.shape == expected[name].shape
    return max(np.abs(outputs[name] - expected[name]).max() / np.abs(expected[name]).max() for name in expected)


# --- why it cannot run


@pytest.fixture
def package(tmp_path, monkeypatch):
    """``package(code)`` installs a torch_npu whose import runs *code*."""
    if (
        "torch_npu" in sys.modules
        or unavailable_reason() != "torch_npu is not installed\nInstall it: pip install 'cvport[npu]'"
    ):
        pytest.skip("there is a torch_npu here")

    def install(code, version=None):
        (tmp_path / "torch_npu").mkdir()
        (tmp_path / "torch_npu/__init__.py").write_text(code)
        if version is not None:
            info = tmp_path / f"torch_npu-{version}.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: torch-npu\nVersion: {version}\n")
            (info / "entry_points.txt").write_text("[torch.backends]\ntorch_npu = torch_npu:_autoload\n")
        monkeypatch.syspath_prepend(tmp_path)
        return tmp_path

    return install


def reason(device=None):
    """Return the cause and the next step, each one line."""
    cause, hint = (unavailable_reason(device) or "it can\n").split("\n")
    return cause, hint


def test_not_installed(no_torch_npu):
    assert reason() == ("torch_npu is not installed", "Install it: pip install 'cvport[npu]'")


def test_not_installed_costs_nothing():
    code = """
import sys
from importlib.util import find_spec
from cvport.runtimes.backends.registry import choose_backend, unavailable_reason
assert find_spec("torch_npu") is not None or choose_backend("auto") == "onnx"
assert find_spec("torch_npu") is not None or "not installed" in unavailable_reason("npu")
assert unavailable_reason("npu", "cpu").startswith("it has no device 'cpu'")
print(find_spec("torch_npu") is None and "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("device", ["cpu", "cuda:0", "npu:", "npu:x", "npu:-1", "NPU", "npux", "ascend"])
def test_unknown_device(npu, device):
    assert reason(device) == (f"it has no device {device!r}", "Known devices: npu, npu:N.")


@pytest.mark.parametrize("torch_npu", ["2.8.0.post4", "2.12.1", "2.13.1", "3.13.0"])
def test_version_of_another_torch(npu, monkeypatch, torch_npu):
    versions = {"torch": "2.13.0+cpu", "torch_npu": torch_npu}
    monkeypatch.setattr(importlib.metadata, "version", versions.__getitem__)
    monkeypatch.setattr(npu_backend, "_import_failure", lambda: pytest.fail("versions are compared before importing"))
    cause, hint = reason()
    assert f"torch_npu {torch_npu} " in cause
    assert "torch 2.13.0+cpu is installed" in cause
    assert f"pip install 'torch=={torch_npu.removesuffix('.post4')}'" in hint


@pytest.mark.parametrize("torch_npu", ["2.13.0", "2.13.0.post2", "2.13.0rc1"])
def test_version_of_this_torch(npu, monkeypatch, torch_npu):
    monkeypatch.setattr(importlib.metadata, "version", {"torch": "2.13.0+cpu", "torch_npu": torch_npu}.__getitem__)
    assert unavailable_reason() is None


NO_CANN = "libhccl.so: cannot open shared object file: No such file or directory"
AUTOLOAD = "Failed to load the backend extension: torch_npu. You can disable extension auto-loading with ..."
TRY_ALONE = "python -c 'import torch_npu'"
FAILURES = {
    "no CANN": (f"raise ImportError({NO_CANN!r})", "does not find CANN: libhccl.so: cannot open", "set_env.sh"),
    "no CANN, wrapped": (
        f"raise RuntimeError({AUTOLOAD!r}) from ImportError({NO_CANN!r})",
        "does not find CANN: libhccl.so: cannot open",
        "set_env.sh",
    ),
    "other version": (
        "raise ImportError('/x/libtorch_npu.so: undefined symbol: _ZN3c105ErrorE')",
        f"(torch {torch.__version__}, torch_npu 2.13.0): /x/libtorch_npu.so: undefined symbol: _ZN3c105ErrorE",
        "Install versions that belong together",
    ),
    "missing dependency": ("import no_such_package", "No module named 'no_such_package'", TRY_ALONE),
    "damaged": ("1 +", "invalid syntax", TRY_ALONE),
    "anything": ("raise ValueError('no good\\nat all')", "no good", TRY_ALONE),
    "nothing said": ("raise OSError", "OSError", TRY_ALONE),
    "exit": ("raise SystemExit", "it ends the process", TRY_ALONE),
}


@pytest.mark.parametrize(("code", "cause", "hint"), FAILURES.values(), ids=FAILURES)
def test_import_that_fails(package, code, cause, hint):
    package(code, version="2.13.0" if torch.__version__.startswith("2.13.0") else torch.__version__.partition("+")[0])
    found = reason()
    assert cause in found[0]
    assert hint in found[1]
    assert "torch_npu" not in sys.modules
    assert choose_backend("auto") == "onnx", "told by nobody: nobody asked for an NPU"
    with pytest.raises(BackendError, match="backend npu is not available: torch_npu ") as caught:
        choose_backend("npu")
    assert hint in caught.value.hint


def test_what_is_printed_by_the_import_is_no_result(package, capsys):
    package("print('Warning: no home'); raise ImportError('broken')", version=torch.__version__.partition("+")[0])
    assert "broken" in unavailable_reason()
    out, err = capsys.readouterr()
    assert out == ""
    assert "Warning: no home" in err


def test_broken_package_hurts_nothing_else(package):
    """With its entry point a plain `import torch` fails; that of cvport does not, and what is wrong is told."""
    folder = package(f"raise ImportError({NO_CANN!r})", version=torch.__version__.partition("+")[0])
    variables = {key: value for key, value in os.environ.items() if key != "TORCH_DEVICE_BACKEND_AUTOLOAD"}
    variables["PYTHONPATH"] = f"{folder}{os.pathsep}{variables.get('PYTHONPATH', '')}"

    def python(code, **more):
        command = [sys.executable, "-c", code]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=variables | more)

    plain = python("import torch")
    assert "Failed to load the backend extension: torch_npu" in plain.stderr
    ask = (
        "import json; from cvport.runtimes.backends.registry import unavailable_reason; "
        "print(json.dumps([*map(unavailable_reason, ['npu', 'torch'])]))"
    )
    done = python(ask)
    assert done.returncode == 0, done.stderr
    broken, healthy = json.loads(done.stdout)
    assert "does not find CANN: libhccl.so" in broken
    assert "set_env.sh" in broken
    assert healthy is None
    forced = python(ask, TORCH_DEVICE_BACKEND_AUTOLOAD="1")
    assert "does not find CANN: libhccl.so" in json.loads(forced.stdout)[0], "below the error that torch raises"


def test_no_device(npu):
    npu.devices = 0
    cause, hint = reason()
    assert cause == "no Ascend device answers"
    assert "npu-smi info" in hint
    assert "ASCEND_RT_VISIBLE_DEVICES" in hint
    assert choose_backend("auto") == "onnx"


@pytest.mark.parametrize(("devices", "text"), [(1, "1 device, npu:0"), (2, "2 devices, npu:0 to npu:1")])
def test_index_out_of_range(npu, devices, text):
    npu.devices = devices
    assert unavailable_reason(f"npu:{devices - 1}") is None
    cause, hint = reason("npu:2")
    assert cause == f"there is no npu:2: {text}"
    assert "ASCEND_RT_VISIBLE_DEVICES" in hint


def test_driver_that_fails(npu, monkeypatch):
    def fail():
        raise device_error(507899)

    monkeypatch.setattr(torch.npu, "is_available", fail)
    cause, hint = reason()
    assert "error code is 507899" in cause
    assert "npu-smi" in hint


def test_device_that_answers_is_preferred(npu):
    assert unavailable_reason() is unavailable_reason("npu") is unavailable_reason("npu:0") is None
    assert choose_backend("auto") == "npu"
    assert choose_backend("auto", "npu:0") == "npu"
    assert choose_backend("auto", "cpu") == "onnx"


def test_opening_looks_too(npu, tiny):
    with pytest.raises(BackendError, match="backend npu is not available: there is no npu:3"):
        NpuBackend(tiny, "npu:3")
    with pytest.raises(UsageError, match="there is no precision 'fp32'") as caught:
        NpuBackend(tiny, precision="fp32")
    assert "strict" in caught.value.hint


# --- what it computes


@pytest.mark.parametrize("name", ["yolox", "nanodet"])
def test_strict_is_the_cpu(npu, networks, name):
    array = images()
    expected = reference(networks[name], array)
    with NpuBackend(networks[name]) as backend:
        outputs = backend.run({"input": array})
        assert (backend.name, backend.device) == ("npu", "npu:0")
    assert tuple(outputs) == get_model(name).output_names
    assert difference(outputs, expected) < 1e-5
    assert min(np.ptp(values) for values in expected.values()) > 0.1, "something to compare"
    assert npu.calls["aten::convolution_overrideable"] > 50, "on the device"


@pytest.mark.parametrize("name", ["yolox", "nanodet"])
def test_hf32_differs_and_fp16_more(npu, networks, name):
    array = images()
    expected = reference(networks[name], array)
    found = {}
    for precision in ("production", "fp16"):
        with NpuBackend(networks[name], precision=precision) as backend:
            found[precision] = difference(backend.run({"input": array}), expected)
    assert 1e-4 < found["production"] < found["fp16"] < 5e-2


def test_older_soc_says_that_it_computes_in_fp16(npu, networks, caplog):
    npu.soc = "Ascend310P3"
    array = images()
    with NpuBackend(networks["yolox"]) as backend:
        assert backend.settings["float32_in_float16"] is True
        assert difference(backend.run({"input": array}), reference(networks["yolox"], array)) > 1e-4
    assert "Ascend310P3 computes float32 convolutions and matrix products in float16" in caplog.text


@pytest.mark.parametrize(
    ("soc", "in_float16"),
    [
        ("Ascend910A", True),
        ("Ascend910ProA", True),
        ("Ascend910PremiumA", True),
        ("Ascend910B", True),
        ("Ascend910", True),
        ("Ascend310P3", True),
        ("Ascend310B1", False),
        ("Ascend910B1", False),
        ("Ascend910B2C", False),
        ("Ascend910_9391", False),
        ("Ascend950DT", False),
    ],
)
def test_socs_that_compute_in_fp16(npu, tiny, soc, in_float16):
    npu.soc = soc
    with NpuBackend(tiny) as backend:
        assert backend.settings["float32_in_float16"] is in_float16
    assert npu.computes_in_fp16 is in_float16


@pytest.mark.parametrize(("precision", "conv"), [("strict", False), ("production", True), ("fp16", True)])
def test_settings_are_set_and_told(npu, tiny, precision, conv):
    npu.devices, npu.matmul_hf32, npu.conv_hf32 = 2, True, not conv
    with NpuBackend(tiny, "npu:1", precision=precision) as backend:
        assert backend.settings == {
            "soc": "Ascend910B3",
            "device_index": 1,
            "precision": precision,
            "conv_allow_hf32": conv,
            "matmul_allow_hf32": False,
            "float32_in_float16": False,
            "jit_compile": False,
            "allow_internal_format": False,
            "torch": torch.__version__,
            "torch_npu": torch.__version__.partition("+")[0] + "+simulated",
            "simulated": True,
            "cann": "8.3.RC1",
        }
    assert (npu.conv_hf32, npu.matmul_hf32) == (conv, False)
    assert (npu.jit_compile, npu.internal_format, npu.current) == (False, False, 1)


def test_old_cann_does_not_tell_its_version(npu, tiny, monkeypatch):
    npu.cann = ""
    assert NpuBackend(tiny).settings["cann"] is None
    monkeypatch.delattr(torch.npu, "utils")
    assert NpuBackend(tiny).settings["cann"] is None


def test_two_precisions_at_once(npu, tiny):
    """The flags hold for the process, so each backend sets its own before it runs."""
    array = images(1, 16)
    with NpuBackend(tiny) as strict, NpuBackend(tiny, precision="production") as production:
        exact, rounded = strict.run({"input": array}), production.run({"input": array})
        again = strict.run({"input": array})
    assert difference(rounded, exact) > 1e-5
    np.testing.assert_array_equal(again["whole"], exact["whole"])


def test_network_of_the_caller_stays_as_it_is(npu, tiny):
    before = {key: value.clone() for key, value in tiny.state_dict().items()}
    with NpuBackend(tiny, precision="fp16") as backend:
        backend.run({"input": images(1, 16)})
    for key, value in tiny.state_dict().items():
        assert (value.device.type, value.dtype) == ("cpu", torch.float32)
        assert torch.equal(value, before[key])


@pytest.mark.parametrize("change", [np.float64, np.asfortranarray, lambda array: array[:, ::-1][:, ::-1]])
def test_arrays_of_other_kinds(npu, tiny, change):
    """float64 above all, which the device has no convolution for."""
    array = images(2, 16)
    with NpuBackend(tiny) as backend:
        expected = backend.run({"input": array})
        outputs = backend.run({"input": change(array)})
    for name, values in outputs.items():
        np.testing.assert_array_equal(values, expected[name])
        assert values.dtype == np.float32


@pytest.mark.parametrize("precision", ["strict", "fp16"])
def test_outputs_are_the_caller_s_own(npu, tiny, precision):
    with NpuBackend(tiny, precision=precision) as backend:
        first = backend.run({"input": images(2, 16)})
        kept = {name: values.copy() for name, values in first.items()}
        backend.run({"input": images(2, 16, seed=1)})
    for name, values in first.items():
        np.testing.assert_array_equal(values, kept[name])
        values[:] = 0


def test_batches_of_changing_size(npu, tiny):
    arrays = [images(rows, side, seed=rows) for rows, side in ((1, 16), (3, 16), (2, 24), (2, 16), (3, 16))]
    with NpuBackend(tiny) as backend:
        for array in arrays:
            assert difference(backend.run({"input": array}), reference(tiny, array)) < 1e-5


def test_predictor_finds_the_same(npu, tmp_path):
    from cvport.exporters.gate.probes import scene

    weights = tmp_path / "nano.pth"
    state = {key: torch.from_numpy(value) for key, value in SPEC.seeded(0, megvii_variant("nano", 3)).items()}
    torch.save({"model": state}, weights)
    results, calls = {}, {}
    for backend in ("torch", "npu"):
        options = cvport.VariantOptions(input_size=(160, 160))
        with cvport.load("yolox", backend=backend, weights=weights, options=options, score_threshold=0.15) as predictor:
            results[backend] = predictor.predict_batch([scene(90, 120, seed=0), scene(120, 90, seed=1)])
            before = npu.calls.copy()
            predictor.backend.run({"input": images(2, 160)})
            calls[backend] = before, npu.calls - before
    for expected, found in zip(results["torch"], results["npu"], strict=True):
        assert len(expected.scores) > 0
        np.testing.assert_array_equal(found.class_ids, expected.class_ids)
        np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-3)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    whole, network = calls["npu"]
    assert set(whole) == {*network, "aten::_pin_memory"}, "boxes do not touch the device"


# --- waiting for the device


def test_forgotten_synchronisation_would_be_seen(npu, tiny, monkeypatch):
    with NpuBackend(tiny) as backend:
        assert np.isfinite(backend.run({"input": images(1, 16)})["whole"]).all()
        monkeypatch.setattr(torch.npu, "synchronize", lambda device=None: None)
        assert np.isnan(backend.run({"input": images(1, 16)})["whole"]).all()
        monkeypatch.undo()
        with pytest.raises(AssertionError, match="overwritten before the copy"):
            backend.run({"input": images(1, 16, seed=1)})


def test_waits_for_its_own_device(npu, tiny, monkeypatch):
    npu.devices = 2
    array = images(1, 16)
    with NpuBackend(tiny, "npu:1") as second, NpuBackend(tiny, "npu:0") as first:
        assert (second.device, first.device, torch.npu.current_device()) == ("npu:1", "npu:0", 0)
        for backend in (second, first, second):
            assert difference(backend.run({"input": array}), reference(tiny, array)) < 1e-5
        assert min(npu.ledger.peak[0], npu.ledger.peak[1]) > array.nbytes
        wait = torch.npu.synchronize
        monkeypatch.setattr(torch.npu, "synchronize", lambda device=None: wait())
        assert np.isnan(second.run({"input": array})["whole"]).all(), "the current device is another one"


def test_one_wait_a_run(npu, tiny):
    with NpuBackend(tiny) as backend:
        for _ in range(3):
            backend.run({"input": images(2, 16)})
    assert npu.synchronisations == 3


# --- compilation


def test_compilation_is_apart(npu, tiny, monkeypatch):
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    array, other = images(2, 16), images(1, 24)
    with NpuBackend(tiny) as backend:
        npu.compile_seconds = 3.0
        slept.clear()
        backend.warm_up({"input": array})
        assert len(slept) > 2
        assert list(backend.compile_seconds) == [(2, 3, 16, 16)]
        slept.clear()
        calls = npu.calls.copy()
        backend.warm_up({"input": array})
        assert npu.calls == calls, "warm already"
        backend.run({"input": array})
        assert not slept, "nothing is compiled any more"
        backend.run({"input": other})
        assert slept
        assert list(backend.compile_seconds) == [(2, 3, 16, 16), (1, 3, 24, 24)]
        slept.clear()
        backend.warm_up({"input": other})
        assert not slept


def test_time_of_compilation(npu, tiny):
    with NpuBackend(tiny) as backend:
        npu.compile_seconds = 0.02
        backend.warm_up({"input": images(2, 16)})
    assert backend.compile_seconds[2, 3, 16, 16] >= 0.02 * 4  # two copies or more, a convolution, an activation


def test_operator_that_falls_back_to_the_cpu_is_told(npu, tiny, caplog):
    npu.cpu_fallbacks = {"aten::silu"}
    with NpuBackend(tiny) as backend:
        for _ in range(2):
            backend.run({"input": images(1, 16)})
            npu.cpu_fallbacks = set()
    (told,) = [record for record in caplog.records if "fall back to run on the CPU" in record.getMessage()]
    assert told.levelno == logging.WARNING
    assert "npu:0" in told.getMessage()
    assert "aten::silu" in told.getMessage()


# --- memory


@pytest.fixture
def peaks(npu, tiny):
    """``peaks[rows]`` bytes are needed to run so many images of 64x64."""
    found = {}
    for rows in (1, 2, 4, 8):
        torch.npu.reset_peak_memory_stats()
        with NpuBackend(tiny) as backend:
            backend.run({"input": images(rows, 64)})
        found[rows] = torch.npu.max_memory_allocated()
    assert sorted(found.values()) == list(found.values())
    npu.cache_drops = 0
    return found


def test_batch_that_does_not_fit_is_run_in_halves(npu, tiny, peaks, caplog):
    npu.memory = (peaks[4] + peaks[8]) // 2
    array = images(8, 64)
    expected = reference(tiny, array)
    with NpuBackend(tiny) as backend:
        assert difference(backend.run({"input": array}), expected) < 1e-5
        assert "a batch of 8 does not fit into the memory of npu:0; running halves" in caplog.text
        assert npu.cache_drops == 1
        assert list(backend.compile_seconds) == [(4, 3, 64, 64)]
        caplog.clear()
        calls = npu.calls.copy()
        backend.warm_up({"input": array})
        assert npu.calls == calls, "its halves are warm"
        assert difference(backend.run({"input": array}), expected) < 1e-5
        assert (caplog.text, npu.cache_drops) == ("", 1), "known from the first time"
        assert difference(backend.run({"input": array[:7]}), reference(tiny, array[:7])) < 1e-5


def test_odd_batch_is_halved(npu, tiny, peaks):
    npu.memory = (peaks[2] + peaks[4]) // 2 - 1
    array = images(3, 64)
    with NpuBackend(tiny) as backend:
        npu.memory = (peaks[2] + peaks[4]) // 2 - (peaks[4] - peaks[2]) // 4
        assert difference(backend.run({"input": array}), reference(tiny, array)) < 1e-5
        assert set(backend.compile_seconds) == {(2, 3, 64, 64), (1, 3, 64, 64)}


def test_half_that_does_not_fit_is_an_error(npu, tiny, peaks):
    npu.memory = (peaks[2] + peaks[4]) // 2
    with NpuBackend(tiny) as backend:
        with pytest.raises(BackendError, match=r"a batch of 4 does not fit .* npu:0: NPU out of memory") as caught:
            backend.run({"input": images(8, 64)})
        assert "smaller --batch-size than 4" in caught.value.hint
        array = images(2, 64)
        assert difference(backend.run({"input": array}), reference(tiny, array)) < 1e-5, "still usable"


def test_single_image_that_does_not_fit(npu, tiny, peaks):
    npu.memory = peaks[1] - 1
    with NpuBackend(tiny) as backend, pytest.raises(BackendError, match="a batch of 1 does not fit") as caught:
        backend.run({"input": images(1, 64)})
    assert "--input-size" in caught.value.hint


def test_memory_that_others_take_later(npu, tiny, peaks):
    npu.memory = (peaks[4] + peaks[8]) // 2
    with NpuBackend(tiny) as backend:
        backend.run({"input": images(8, 64)})
        npu.memory = peaks[2]
        with pytest.raises(BackendError, match="a batch of 8 does not fit"):
            backend.run({"input": images(8, 64)})


def test_lack_of_memory_told_by_text(npu, tiny):
    npu.faults = {"aten::silu": RuntimeError("NPU out of memory. Tried to allocate 9.00 GiB")}
    with NpuBackend(tiny) as backend, pytest.raises(BackendError, match="a batch of 1 does not fit"):
        backend.run({"input": images(2, 16)})
    assert npu.cache_drops >= 1


def test_network_that_does_not_fit(npu, tiny):
    npu.memory = 100
    with pytest.raises(BackendError, match="the network does not fit into the memory of npu:0: NPU out of") as caught:
        NpuBackend(tiny)
    assert "npu-smi" in caught.value.hint


def test_memory_does_not_grow(npu, tiny):
    from npu_sim import memory

    sizes = [(1, 16), (3, 16), (2, 24)]
    with NpuBackend(tiny, precision="fp16") as backend:
        for rows, side in sizes:
            backend.run({"input": images(rows, side)})
        before, buffers = torch.npu.memory_allocated(), len(memory._pinned)
        pinned = npu.calls["aten::_pin_memory"]
        torch.npu.reset_peak_memory_stats()
        for turn in range(200):
            rows, side = sizes[turn % 3]
            backend.run({"input": images(rows, side)})
            assert torch.npu.memory_allocated() == before
        assert (len(memory._pinned), npu.calls["aten::_pin_memory"]) == (buffers, pinned), "taken once, then reused"
        assert torch.npu.max_memory_allocated() < before + MIB
        assert not npu.pending


def test_closing_gives_everything_back(npu, tiny):
    from npu_sim import memory

    before = len(memory._pinned)
    with NpuBackend(tiny) as backend:
        backend.run({"input": images(1, 16)})
        assert torch.npu.memory_allocated() > 0
        assert len(memory._pinned) > before
    assert torch.npu.memory_allocated() == 0
    assert len(memory._pinned) == before
    assert npu.cache_drops == 1
    backend.close()
    assert npu.cache_drops == 1
    with pytest.raises((AttributeError, TypeError)):
        backend.run({"input": images(1, 16)})


# --- a device that fails


@pytest.mark.parametrize("place", ["aten::convolution_overrideable", "aten::_copy_from", "synchronize"])
@pytest.mark.parametrize("code", [107001, 507018])
def test_device_that_fails(npu, tiny, place, code):
    with NpuBackend(tiny) as backend:
        npu.faults = {place: device_error(code)}
        with pytest.raises(BackendError, match=f"npu:0 failed: .*error code is {code}") as caught:
            backend.run({"input": images(1, 16)})
    assert "ASCEND_LAUNCH_BLOCKING=1" in caught.value.hint
    assert caught.value.exit_code == 5


def test_device_that_fails_at_the_start(npu, tiny):
    npu.faults = {"aten::_copy_from": device_error(507899)}
    with pytest.raises(BackendError, match="error code is 507899"):
        NpuBackend(tiny)


def test_results_that_do_not_arrive(npu, tiny, monkeypatch):
    """After a failure torch_npu drops what is queued, without a word: what was there before is no result."""
    copy = torch.Tensor.copy_
    with NpuBackend(tiny) as backend:
        backend.run({"input": images(1, 16)})
        monkeypatch.setattr(
            torch.Tensor, "copy_", lambda to, source, non_blocking=False: to if non_blocking else copy(to, source)
        )
        with pytest.raises(BackendError, match="npu:0 does not deliver the output whole") as caught:
            backend.run({"input": images(1, 16, seed=1)})
    assert "new process" in caught.value.hint


def test_operator_that_the_device_has_not(npu, tiny):
    npu.unsupported = {"aten::silu"}
    with (
        NpuBackend(tiny) as backend,
        pytest.raises(BackendError, match=r"has no kernel .*aten::silu") as caught,
    ):
        backend.run({"input": images(1, 16)})
    assert "--backend onnx" in caught.value.hint


@pytest.mark.parametrize(
    "error", [ValueError("a bug"), RuntimeError("shapes cannot be multiplied"), NotImplementedError("an input to come")]
)
def test_errors_that_are_not_the_device_s_pass(npu, tiny, error):
    npu.faults = {"aten::silu": error}
    other = images(1, 16, seed=1)
    with NpuBackend(tiny) as backend:
        with pytest.raises(type(error), match=str(error)):
            backend.run({"input": images(1, 16)})
        npu.faults = {}
        # The failed run's input was still on its way: it may not be overwritten before the device is waited for.
        assert difference(backend.run({"input": other}), reference(tiny, other)) < 1e-5


def test_threads(npu, tiny):
    before = torch.get_num_threads()
    try:
        with NpuBackend(tiny, threads=2):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
