"""Whose private folders are, and when they are removed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from cvport.exporters import staging
from cvport.exporters.staging import locked, private, sweep

DAY_BEFORE_YESTERDAY = time.time() - 48 * 3600


def make(folder: Path, written: float = DAY_BEFORE_YESTERDAY) -> Path:
    path = private(folder, "model")
    path.mkdir()
    (path / "half").write_bytes(b"x")
    os.utime(path, (written, written))
    return path


def test_names_do_not_meet(tmp_path: Path) -> None:
    names = {private(tmp_path, "model").name for _ in range(100)}
    assert len(names) == 100
    assert all(f"-{os.getpid()}-" in name for name in names)


@pytest.mark.skipif(os.name == "nt", reason="there are no such locks")
def test_a_held_folder_is_kept_whatever_its_age_is(tmp_path: Path) -> None:
    """The clock may be set while an export runs."""
    path = make(tmp_path)
    with locked(path):
        sweep(tmp_path)
        assert (path / "half").exists()
    sweep(tmp_path)
    assert not path.exists()


@pytest.mark.parametrize("offset", [-3600.0, 0.0, 3600.0])
def test_a_young_folder_of_a_process_that_runs_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offset: float
) -> None:
    path = make(tmp_path, time.time())
    clock = time.time
    monkeypatch.setattr(staging.time, "time", lambda: clock() + offset)
    sweep(tmp_path)
    assert path.exists()


def test_a_link_is_removed_and_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "staging").mkdir()
    place = private(tmp_path / "staging", "model")
    place.symlink_to(make(tmp_path))
    monkeypatch.setattr(staging, "_runs", lambda pid: False)
    sweep(tmp_path / "staging")
    assert not os.path.lexists(place)
    assert list(tmp_path.glob("model-*/half"))
