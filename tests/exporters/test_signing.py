"""Who made an artifact: signatures over its sums, and over captures."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from cvport.errors import ArtifactError, BackendError, InputError
from cvport.exporters.commands.cvexport import cvexport
from cvport.exporters.gate.capture_file import SCHEMA_VERSION, SHARED, Capture
from cvport.exporters.publish import replace_files
from cvport.exporters.signing import sign, signature_problem
from cvport.exporters.verify import verify_path
from cvport.runtimes.commands.console import run_command

PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
PLAIN = serialization.NoEncryption()


def write_keys(folder, name, private=None, encryption=PLAIN):
    private = private or ed25519.Ed25519PrivateKey.generate()
    (folder / f"{name}.pem").write_bytes(private.private_bytes(PEM, PKCS8, encryption))
    public = private.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / f"{name}.pub").write_bytes(public)
    return folder / f"{name}.pem", folder / f"{name}.pub"


@pytest.fixture
def keys(tmp_path):
    return write_keys(tmp_path, "own")


@pytest.fixture
def artifact(nano_artifact, tmp_path):
    return shutil.copytree(nano_artifact.onnx.parent.resolve(), tmp_path / "artifacts" / "yolox")


def test_an_artifact(artifact, keys, tmp_path):
    key, public = keys
    assert signature_problem(artifact, public) == "there is no SHA256SUMS.sig"
    place = sign(artifact / "yolox.onnx", key)
    assert place.name == "SHA256SUMS.sig"
    assert place.stat().st_size == 64
    checks = verify_path(artifact, public)
    assert checks[-1] == ("signature", ())
    assert not any(check.problems for check in checks), "the signature is the only file that the sums do not list"
    _, other = write_keys(tmp_path, "other")
    assert "was not made with the private key" in signature_problem(artifact, other)
    sums = artifact / "SHA256SUMS"
    sums.write_bytes(sums.read_bytes().replace(b"parity.md", b"parity.mf"))
    assert "or for something else" in signature_problem(artifact, public)


def test_what_is_completed_later_has_to_be_signed_again(artifact, keys):
    key, public = keys
    sign(artifact, key)
    replace_files(artifact.parent, "yolox", {"parity.md": b"changed"})
    assert signature_problem(artifact, public) == "there is no SHA256SUMS.sig"


def test_openssl_checks_it_too(artifact, keys):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    sign(artifact, keys[0])
    words = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", keys[1], "-rawin", "-in", "SHA256SUMS"]
    words += ["-sigfile", "SHA256SUMS.sig"]
    done = subprocess.run(words, cwd=artifact, capture_output=True, text=True, check=False)
    if "unknown option" in done.stderr.lower():
        pytest.skip("this openssl knows no -rawin")
    assert (done.returncode, done.stdout.strip()) == (0, "Signature Verified Successfully")


def test_keys_that_cannot_be_used(artifact, keys, tmp_path):
    encrypted, _ = write_keys(tmp_path, "secret", encryption=serialization.BestAvailableEncryption(b"word"))
    elliptic, elliptic_public = write_keys(tmp_path, "ec", ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(InputError, match="is encrypted"):
        sign(artifact, encrypted)
    for key in (keys[1], tmp_path / "none.pem", tmp_path):
        with pytest.raises(InputError, match="no private key in PEM that can be read") as caught:
            sign(artifact, key)
        assert "openssl genpkey -algorithm ed25519" in caught.value.hint
    with pytest.raises(InputError, match="no key of Ed25519"):
        sign(artifact, elliptic)
    with pytest.raises(InputError, match="no key of Ed25519"):
        signature_problem(artifact, elliptic_public)
    with pytest.raises(InputError, match="no public key"):
        signature_problem(artifact, keys[0])
    assert not (artifact / "SHA256SUMS.sig").exists()


def test_what_cannot_be_signed(tmp_path, keys, artifact):
    with pytest.raises(ArtifactError, match=r"holds no \.onnx file"):
        sign(tmp_path, keys[0])
    (artifact / "SHA256SUMS").unlink()
    with pytest.raises(ArtifactError, match="no artifact with its sums"):
        sign(artifact, keys[0])
    with pytest.raises(ArtifactError, match="no such file"):
        sign(tmp_path / "none.npz", keys[0])


def test_a_damaged_artifact_is_not_signed(artifact, keys, capsys):
    (artifact / "parity.md").write_text("other")
    assert run_command(cvexport, ["sign", str(artifact), "--key", str(keys[0])]) == 4
    assert "altered parity.md" in capsys.readouterr().err
    assert not (artifact / "SHA256SUMS.sig").exists()


def test_commands(artifact, keys, capsys):
    key, public = map(str, keys)
    assert run_command(cvexport, ["verify", str(artifact), "--public-key", public]) == 4
    assert "signature there is no SHA256SUMS.sig" in capsys.readouterr().out
    assert run_command(cvexport, ["sign", str(artifact), "--key", key]) == 0
    assert capsys.readouterr().out.endswith("SHA256SUMS.sig\n")
    assert run_command(cvexport, ["verify", str(artifact), "--public-key", public]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "signature fits"


def test_a_capture(tmp_path, keys, capsys):
    key, public = map(str, keys)
    path = tmp_path / "capture.npz"
    meta = {
        "schema_version": SCHEMA_VERSION,
        "seal": {"model": "yolox", "weights": {"sha256": "0"}},
        "npu": {"device": "npu:0", "settings": {"strict": {}}},
        "environment": {},
        "onnx_sha256": None,
    }
    shared = dict.fromkeys(SHARED)
    Capture({**meta, "seal": {**shared, **meta["seal"]}}, {"a": np.zeros(3, np.float32)}).write(path)
    assert run_command(cvexport, ["sign", str(path), "--key", key]) == 0
    assert (tmp_path / "capture.npz.sig").stat().st_size == 64
    assert run_command(cvexport, ["verify", str(path), "--public-key", public]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == ["capture  fits", "signature fits"]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert run_command(cvexport, ["verify", str(path), "--public-key", public]) == 4
    assert "signature capture.npz.sig was not made" in capsys.readouterr().out


def test_without_the_package(artifact, keys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    with pytest.raises(BackendError, match="signatures need cryptography") as caught:
        sign(artifact, keys[0])
    assert "cvport[sign]" in caught.value.hint
