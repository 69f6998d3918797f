"""A page in headless Chromium, cut off from every network: what it says, asks for and looks like."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


# What the browser asks its maker for, whatever page is open.
_OWN = re.compile(r"https?://([a-z0-9.-]+\.)?(google|googleapis|gvt1|gstatic)\.com[/:]")


class Page(NamedTuple):
    """A page that was opened.

    Attributes:
        dom: Its document as the browser built it.
        messages: What it wrote to the console.
        addresses: What it asked for, but for files.

    """

    dom: str
    messages: list[str]
    addresses: list[str]


def browser() -> str:
    """Return the browser's path, or skip the test."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("there is no Chromium on this machine")
    return found


def open_page(path: Path, folder: Path) -> Page:
    """Open a file and return what came of it; *folder* is for the browser's own files."""
    log = folder / "net.json"
    done = _run(path, folder, f"--log-net-log={log}", "--dump-dom")
    messages = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    found = json.loads(log.read_text(encoding="utf-8"))
    urls = [str(event.get("params", {}).get("url", "")) for event in found["events"]]
    asked = {url for url in urls if url.startswith(("http:", "https:", "ws:", "wss:")) and not _OWN.match(url)}
    return Page(done.stdout, messages, sorted(asked))


def screenshot(path: Path, folder: Path, size: tuple[int, int]) -> Path:
    """Draw a page at a width and height, and return where the picture is."""
    picture = folder / f"{path.stem}_{size[0]}.png"
    _run(path, folder, f"--window-size={size[0]},{size[1]}", f"--screenshot={picture}")
    return picture


def _run(path: Path, folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    profile = folder / "profile"
    command = [browser(), *_FLAGS, f"--user-data-dir={profile}", *flags, path.absolute().as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    shutil.rmtree(profile, ignore_errors=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done
