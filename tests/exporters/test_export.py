"""From weights to what is on the disk afterwards: published, rejected, or nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import onnx
import pytest
import torch

from cvport import BackendError, ParityFailed, ParityIncomplete, UsageError, VariantOptions, WeightsError
from cvport.exporters import export as module
from cvport.exporters.commands.cvexport import cvexport
from cvport.exporters.export import export
from cvport.exporters.gate import legs
from cvport.exporters.publish import verify_sums
from cvport.runtimes.commands.console import run_command
from helpers.gate import with_digest

OPTIONS = VariantOptions(input_size=(160, 160))


def snapshot(folder):
    """Every file below a folder, links followed, with its bytes."""
    found = {}
    for root, _, names in os.walk(folder, followlinks=True):
        for name in names:
            path = os.path.join(root, name)  # noqa: PTH118
            with open(path, "rb") as file:  # noqa: PTH123
                found[os.path.relpath(path, folder)] = file.read()
    return found


@pytest.fixture
def published(quick, weights, tmp_path):
    return export("yolox", weights=weights, output=tmp_path / "out", options=OPTIONS)


def spoil(monkeypatch):
    clean = module.make_onnx

    def make_onnx(spec, network, seal, progress):
        made = clean(spec, network, seal, progress)
        model = onnx.load_from_string(made.data)
        tensor = next(t for t in model.graph.initializer if t.name == "head.obj_preds.0.weight")
        value = onnx.numpy_helper.to_array(tensor) * np.float32(1.01)
        tensor.CopyFrom(onnx.numpy_helper.from_array(value, tensor.name))
        return made._replace(data=with_digest(model))

    monkeypatch.setattr(module, "make_onnx", make_onnx)


def test_published_artifact(published, weights):
    assert sorted(path.name for path in published.folder.iterdir()) == [
        "SHA256SUMS",
        "nodes.json",
        "parity.json",
        "parity.md",
        "report.html",
        "sbom.cdx.json",
        "yolox.onnx",
    ]
    verify_sums(published.folder)
    record = json.loads(published.parity.read_text())
    assert record["verdict"] == "passed"
    assert record["onnx_sha256"] == module.sha256_file(published.onnx)
    assert record["legs"]["npu"]["status"] == "not run"
    assert record["legs"]["npu"]["reason"]
    assert record["untrained"] is False
    assert published.loaded == "642/642 tensors, 897,144 parameters"
    assert all("derived" in limit for limit in record["limits"]["tensors"].values())


def test_sealed_metadata(published, weights):
    model = onnx.load(published.onnx)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    (entry,) = model.metadata_props
    seal = json.loads(entry.value)
    assert entry.key == "cvport"
    assert seal["weights"] == {
        "sha256": module.sha256_file(weights),
        "origin": "nano.pth",
        "untrained": False,
        "assumed": ["activation silu (model default)", "preprocess megvii (Megvii wrapping)"],
    }
    assert seal["labels"] == ["class_0", "class_1", "class_2"]
    assert seal["preprocess"]["convention"] == "megvii"
    assert seal["input_size"] == [160, 160]
    assert set(seal["tools"]) == {"cvport", "torch", "onnx", "onnxscript", "onnxsim"}
    names = [output.name for output in model.graph.output]
    assert names == ["cls_0", "reg_0", "obj_0", "cls_1", "reg_1", "obj_1", "cls_2", "reg_2", "obj_2"]
    shape = model.graph.output[3].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in shape] == ["batch", 3, 10, 10]
    # Nothing of the machine that made it.
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert str(weights.parent).encode() not in published.onnx.read_bytes()


def test_same_weights_give_the_same_bytes(small, make_small):
    again = make_small()
    assert again.onnx == small.onnx


def test_the_whole_folder_is_the_same_in_two_places(quick, weights, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    folders = [export("yolox", weights=weights, output=tmp_path / name, options=OPTIONS).folder for name in ("a", "b")]
    first, second = map(snapshot, folders)
    assert len(first) == 7
    assert [name for name in first if first[name] != second.get(name)] == []


def test_failure_is_rejected_with_its_evidence(published, weights, tmp_path, monkeypatch):
    before = snapshot(published.folder)
    spoil(monkeypatch)
    with pytest.raises(ParityFailed, match="obj_0") as failure:
        export("yolox", weights=weights, output=tmp_path / "out", options=OPTIONS)
    assert failure.value.exit_code == 6
    assert snapshot(published.folder) == before
    (rejected,) = (tmp_path / "out/rejected").iterdir()
    names = [
        "SHA256SUMS",
        "inputs.npz",
        "nodes.json",
        "parity.json",
        "parity.md",
        "replay.py",
        "report.html",
        "yolox.onnx",
    ]
    assert sorted(path.name for path in rejected.iterdir()) == names
    assert str(rejected / "replay.py") in failure.value.hint
    # The script fails in the same way, in a process that has no PyTorch.
    code = "import sys; sys.modules['torch'] = None; import runpy; runpy.run_path(sys.argv[1], run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code, str(rejected / "replay.py")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 6, done.stderr
    record = json.loads((rejected / "parity.json").read_text())
    tensors = [e for e in record["comparisons"] if e["tier"] == "tensors" and e["what"] == "obj_0"]
    worst = max(tensors, key=lambda e: e["figures"]["max_abs"] / e["limits"]["max_abs"])
    assert f"{worst['figures']['max_abs']:.2e}" in done.stdout
    assert "failed" in done.stdout
    first = record["divergence"]["first"]
    assert (first["op_type"], first["module"]) == ("Conv", "head.obj_preds.0")
    assert first["introduced"] > 10 * first["limit"]
    assert "head.obj_preds.0" in failure.value.message
    assert "head.obj_preds.0" in (rejected / "report.html").read_text()


def test_nodes_tell_the_module_of_each_operator(published):
    nodes = json.loads((published.folder / "nodes.json").read_text())["nodes"]
    graph = onnx.load(published.onnx).graph
    assert [(node["name"], node["outputs"]) for node in nodes] == [
        (node.name, list(node.output)) for node in graph.node
    ]
    modules = {node["outputs"][0]: node["module"] for node in nodes if node["op_type"] == "Conv"}
    assert modules["obj_0"] == "head.obj_preds.0"
    assert all(modules.values()), "every convolution comes from a module"


def test_a_file_that_cannot_be_run_is_rejected_too(published, weights, tmp_path, monkeypatch):
    clean, before = module.make_onnx, snapshot(published.folder)

    def make_onnx(spec, network, seal, progress):
        made = clean(spec, network, seal, progress)
        model = onnx.load_from_string(made.data)
        node = next(node for node in model.graph.node if node.op_type == "Concat")
        node.attribute[0].CopyFrom(onnx.helper.make_attribute("axis", 2))
        return made._replace(data=with_digest(model))

    monkeypatch.setattr(module, "make_onnx", make_onnx)
    with pytest.raises(ParityFailed, match=r"torch-onnx run .*it cannot be run"):
        export("yolox", weights=weights, output=tmp_path / "out", options=OPTIONS)
    assert snapshot(published.folder) == before
    (rejected,) = (tmp_path / "out/rejected").iterdir()
    assert json.loads((rejected / "parity.json").read_text())["legs"]["onnx"]["status"] == "failed"
    done = subprocess.run([sys.executable, rejected / "replay.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 6, done.stderr
    assert "it cannot be run" in done.stdout


@pytest.mark.parametrize("step", ["loading weights", "tracing the network", "running PyTorch", "publishing"])
def test_interrupted_export_leaves_nothing(published, weights, tmp_path, step):
    before = snapshot(tmp_path / "out")

    def interrupt(current):
        if current == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export("yolox", weights=weights, output=tmp_path / "out", options=OPTIONS, progress=interrupt)
    assert snapshot(tmp_path / "out") == before


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_stopped_process_leaves_the_published_artifact(published, weights, tmp_path, sent):
    before = snapshot(published.folder)
    driver = (
        # A process that is started in the background may have inherited that Ctrl-C is ignored.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import sys, threading; from cvport.exporters import export as m\n"
        "from cvport.exporters.commands.cvexport import cvexport\n"
        "from cvport.runtimes.commands.console import run_command\n"
        "def trace(*_): print('here', flush=True); threading.Event().wait(60)\n"
        "m.trace = trace\n"
        "sys.exit(run_command(cvexport, sys.argv[1:]))"
    )
    arguments = ["yolox", "--weights", str(weights), "--input-size", "160", "-o", str(tmp_path / "out")]
    with subprocess.Popen(
        [sys.executable, "-c", driver, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "here\n"
        assert any((tmp_path / "out/.staging").iterdir())
        process.send_signal(sent)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == (130 if sent is signal.SIGINT else -signal.SIGKILL)
    assert "Traceback" not in errors
    if sent is signal.SIGINT:
        assert not any((tmp_path / "out/.staging").iterdir())
    assert snapshot(published.folder) == before
    # What a killed export left behind is cleared by the next.
    time.sleep(0.01)
    export("yolox", weights=weights, output=tmp_path / "out", options=OPTIONS)
    assert not any((tmp_path / "out/.staging").iterdir())


def test_wrong_requests(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(UsageError, match="opset 17 is not supported"):
        export("yolox", weights="seeded", output=out, opset=17)
    with pytest.raises(UsageError, match="batch 'many'"):
        export("yolox", weights="seeded", output=out, batch="many")
    with pytest.raises(UsageError, match="no leg 'tpu'"):
        export("yolox", weights="seeded", output=out, require=["tpu"])
    with pytest.raises(UsageError, match="multiples of 32"):
        export("yolox", weights="seeded", output=out, options=VariantOptions(input_size=(100, 100)))
    with pytest.raises(UsageError, match="no model 'yolo'") as error:
        export("yolo", weights="seeded", output=out)
    assert "'yolox'" in error.value.hint
    assert not (out / "yolox").exists()


def test_required_leg_that_cannot_run_is_incomplete(tmp_path):
    with pytest.raises(ParityIncomplete, match="npu leg cannot run") as error:
        export("yolox", weights="seeded", output=tmp_path / "out", require=["npu"])
    assert error.value.exit_code == 7
    assert not (tmp_path / "out").exists()


def test_export_needs_both_of_its_legs(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="without the onnx leg"):
        export("yolox", weights="seeded", output=tmp_path / "out", backends=["torch"])
    monkeypatch.setattr(legs, "unavailable_reason", lambda name: "gone\nhint" if name == "torch" else None)
    with pytest.raises(BackendError, match="an export needs torch: gone") as error:
        export("yolox", weights="seeded", output=tmp_path / "out")
    assert error.value.exit_code == 5


def test_checkpoint_of_another_shape_names_the_keys(small, tmp_path):
    state = {key: torch.from_numpy(value) for key, value in small.checkpoint.state.items()}
    state.pop("head.stems.1.conv.weight")
    state["extra"] = torch.zeros(3)
    state["head.stems.2.bn.bias"] = torch.zeros(7)
    torch.save(state, tmp_path / "bad.pth")
    with pytest.raises(WeightsError) as error:
        export("yolox", weights=tmp_path / "bad.pth", output=tmp_path / "out", options=OPTIONS)
    for text in ("head.stems.1.conv.weight", "extra", "head.stems.2.bn.bias", "(7,)"):
        assert text in str(error.value)
    assert not any((tmp_path / "out").glob("yolox*"))


def test_non_finite_weights_are_not_published(quick, small, tmp_path):
    state = {key: torch.from_numpy(value.copy()) for key, value in small.checkpoint.state.items()}
    state["head.obj_preds.2.weight"][0, 0] = torch.nan
    torch.save({"model": state}, tmp_path / "nan.pth")
    with pytest.raises(ParityFailed, match="not finite"):
        export("yolox", weights=tmp_path / "nan.pth", output=tmp_path / "out", options=OPTIONS)
    assert not (tmp_path / "out/yolox").exists()


def test_tolerance_replaces_a_limit(quick, weights, tmp_path):
    tight = ["cls_0:atol=1e-12"]
    with pytest.raises(ParityFailed, match="cls_0"):
        export("yolox", weights=weights, output=tmp_path / "out", options=OPTIONS, tolerances=tight)
    for wrong in ("cls_0", "cls_9:atol=1", "cls_0:px=1", "decoded:atol=1", "cls_0:atol=-1", "cls_0:atol=x"):
        with pytest.raises(UsageError):
            export("yolox", weights=weights, output=tmp_path / "out", options=OPTIONS, tolerances=[wrong])


def test_probes_of_the_user_are_compared_too(quick, weights, tmp_path):
    import cv2

    (tmp_path / "photos").mkdir()
    cv2.imwrite(str(tmp_path / "photos/a.png"), np.random.default_rng(0).integers(0, 255, (50, 70, 3), dtype=np.uint8))
    artifact = export("yolox", weights=weights, output=tmp_path / "out", options=OPTIONS, probes=[tmp_path / "photos"])
    assert any(entry["case"] == "a.png" for entry in artifact.record["comparisons"])


def test_fixed_batch(weights, tmp_path):
    artifact = export("yolox", weights=weights, output=tmp_path / "out", options=OPTIONS, batch=2)
    shape = onnx.load(artifact.onnx).graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_value for dim in shape] == [2, 3, 160, 160]
    assert {len(case["images"]) for case in artifact.record["cases"]} == {2, 0}, "0: inputs that no image gives"


def test_command_prints_result_on_stdout_alone(quick, weights, tmp_path, capsys):
    arguments = ["yolox", "--weights", str(weights), "--input-size", "160", "-o", str(tmp_path / "out")]
    assert run_command(cvexport, arguments) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "642/642 tensors, 897,144 parameters" in printed.out
    assert "npu not run" in printed.out
    assert run_command(cvexport, [*arguments, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["verdict"] == "passed"
    assert content["onnx"] == str(tmp_path / "out/yolox/yolox.onnx")


def test_commands_about_models(capsys):
    assert run_command(cvexport, ["list"]) == 0
    assert "yolox" in capsys.readouterr().out
    assert run_command(cvexport, ["show", "yolox"]) == 0
    assert "multiples of 32" in capsys.readouterr().out
    assert run_command(cvexport, ["yolo", "--weights", "seeded"]) == 2
    assert "Did you mean 'yolox'?" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["/proc/cvport", "file/out"])
def test_output_that_cannot_be_written(place, weights, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    started = time.monotonic()
    assert run_command(cvexport, ["yolox", "--weights", str(weights), "-o", str(tmp_path / place)]) == 4
    # Found out before the work, not after it.
    assert time.monotonic() - started < 5
    assert "Traceback" not in capsys.readouterr().err
