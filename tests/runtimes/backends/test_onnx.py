"""ONNX Runtime: the file, the provider that it really got, the outputs."""

import numpy as np
import onnx
import onnxruntime
import pytest

from cvport.errors import ArtifactError, BackendError
from cvport.runtimes.backends.onnx import OnnxBackend

NAMES = [f"{kind}_{level}" for level in range(3) for kind in ("cls", "reg", "obj")]


@pytest.fixture
def inputs():
    return {"input": np.random.default_rng(0).uniform(0, 255, (2, 3, 160, 160)).astype(np.float32)}


def test_outputs_by_name(nano_artifact, inputs):
    with OnnxBackend(nano_artifact.onnx) as backend:
        outputs = backend.run(inputs)
        assert (backend.name, backend.device) == ("onnx", "cpu")
        assert (backend.inputs, list(backend.outputs)) == (("input",), NAMES)
    assert list(outputs) == NAMES
    sides = {"0": 20, "1": 10, "2": 5}
    channels = {"cls": 3, "reg": 4, "obj": 1}
    for name, values in outputs.items():
        kind, level = name.split("_")
        assert values.shape == (2, channels[kind], sides[level], sides[level])
        assert values.dtype == np.float32
        assert values.std() > 0


def test_pictures_of_a_batch_do_not_mix(nano_artifact, inputs):
    with OnnxBackend(nano_artifact.onnx) as backend:
        both = backend.run(inputs)
        for row in range(2):
            alone = backend.run({"input": inputs["input"][row : row + 1]})
            for name in NAMES:
                np.testing.assert_allclose(alone[name][0], both[name][row], atol=1e-4)


def test_missing_file(tmp_path):
    with pytest.raises(ArtifactError, match=r"no such file: .*gone\.onnx") as caught:
        OnnxBackend(tmp_path / "gone.onnx")
    assert caught.value.exit_code == 4
    assert "cvexport" in caught.value.hint


def test_folder(tmp_path):
    with pytest.raises(ArtifactError, match="no such file"):
        OnnxBackend(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no network\n" * 50, b"\x89PNG\r\n\x1a\n", None])
def test_file_that_is_no_onnx_model(nano_artifact, tmp_path, content):
    path = tmp_path / "a.onnx"
    path.write_bytes(nano_artifact.onnx.read_bytes()[:20_000] if content is None else content)
    with pytest.raises(ArtifactError, match=r"a\.onnx is not a usable ONNX model: .+") as caught:
        OnnxBackend(path)
    assert caught.value.exit_code == 4
    assert "\n" not in caught.value.message


def test_model_with_an_operator_that_does_not_exist(tmp_path):
    value = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("Magic", ["x"], ["y"], domain="nowhere")
    graph = onnx.helper.make_graph([node], "g", [value("x", 1, [1])], [value("y", 1, [1])])
    domains = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("nowhere", 1)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=domains, ir_version=10), tmp_path / "a.onnx")
    with pytest.raises(ArtifactError, match="not a usable ONNX model"):
        OnnxBackend(tmp_path / "a.onnx")


def test_another_provider_than_the_one_asked_for_is_an_error(nano_artifact, monkeypatch):
    monkeypatch.setattr(onnxruntime.InferenceSession, "get_providers", lambda self: ["AzureExecutionProvider"])
    with pytest.raises(BackendError, match="runs on AzureExecutionProvider instead of CPUExecutionProvider") as caught:
        OnnxBackend(nano_artifact.onnx)
    assert caught.value.exit_code == 5


@pytest.fixture
def session_arguments(monkeypatch):
    """What the session is made with; on CUDA it falls back to the CPU, as where CUDA's libraries are missing."""
    seen = {}
    real = onnxruntime.InferenceSession

    def make(path, options, providers):
        seen.update(options=options, providers=providers)
        return real(path, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", make)
    return seen


@pytest.mark.parametrize(("device", "index"), [("cuda", "0"), ("cuda:3", "3")])
def test_silent_fallback_from_cuda_is_an_error(nano_artifact, session_arguments, device, index):
    with pytest.raises(BackendError, match="CPUExecutionProvider instead of CUDAExecutionProvider"):
        OnnxBackend(nano_artifact.onnx, device)
    assert session_arguments["providers"] == [("CUDAExecutionProvider", {"device_id": index})]


def test_cuda_device_that_does_not_exist_is_no_damaged_file(nano_artifact, tmp_path, monkeypatch):
    def make(path, options, providers):
        raise RuntimeError("[ONNXRuntimeError] : 1 : FAIL : CUDA failure 101: invalid device ordinal ; GPU=-1")

    monkeypatch.setattr(onnxruntime, "InferenceSession", make)
    with pytest.raises(BackendError, match=r"cannot use cuda:7: .*invalid device ordinal"):
        OnnxBackend(nano_artifact.onnx, "cuda:7")
    with pytest.raises(ArtifactError):
        OnnxBackend(nano_artifact.onnx, "cpu")


@pytest.mark.parametrize(("threads", "expected"), [(None, 0), (1, 1), (2, 2)])
def test_threads(nano_artifact, session_arguments, inputs, threads, expected):
    with OnnxBackend(nano_artifact.onnx, threads=threads) as backend:
        assert session_arguments["options"].intra_op_num_threads == expected
        assert list(backend.run(inputs)) == NAMES


def test_inputs_that_the_file_does_not_take(nano_artifact):
    with OnnxBackend(nano_artifact.onnx) as backend:
        wrong = np.zeros((1, 3, 64, 64), np.float32)
        with pytest.raises(ArtifactError, match=r"cannot be run on input \(1, 3, 64, 64\)"):
            backend.run({"input": wrong})


def test_nothing_runs_after_closing(nano_artifact, inputs):
    with OnnxBackend(nano_artifact.onnx) as backend:
        backend.run(inputs)
    with pytest.raises(AttributeError):
        backend.run(inputs)


def test_first_run_of_a_shape_is_told(nano_artifact, inputs):
    other = {"input": inputs["input"][:1]}
    with OnnxBackend(nano_artifact.onnx) as backend:
        backend.warm_up(inputs)
        assert not backend.is_warm(inputs), "no extra run is made"
        backend.run(inputs)
        assert backend.is_warm(inputs)
        assert not backend.is_warm(other)


def test_file_of_a_newer_onnx(nano_artifact, tmp_path):
    model = onnx.load(nano_artifact.onnx)
    model.ir_version = 99
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ArtifactError) as caught:
        OnnxBackend(tmp_path / "a.onnx")
    assert f"has ONNX IR version 99; onnxruntime {onnxruntime.__version__} reads up to " in caught.value.message
    assert "pip install --upgrade onnxruntime" in caught.value.hint


def test_threads_do_not_spin_between_runs(nano_artifact):
    with OnnxBackend(nano_artifact.onnx) as backend:
        options = backend._session.get_session_options()
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"
