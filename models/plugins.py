"""Models of other packages: entry points of the group ``cvport.models``, name = model, value = ``module:SPEC``.

A package is examined in a process of its own. What its import does there, endless loops, crashes and calls of `exit`
included, reaches nobody else, and can be ended after a fixed time; a thread can neither be ended nor survive a crash.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from .spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from importlib.metadata import Distribution, EntryPoint

GROUP = "cvport.models"
# Seconds that a package gets to be imported when all are listed.
PATIENCE = 5.0
# Words that the commands take for something else than a model, and the folder of failed exports beside the models'.
COMMANDS = frozenset(
    {
        *("all", "list", "show", "capture", "parity", "doctor", "verify", "sign", "replay", "bisect", "check"),
        *("kit", "embed", "triton", "om", "new"),
        *("run", "compare", "bench", "eval", "serve"),
    }
)
_FOLDERS = frozenset({"rejected"})
_UNKNOWN = "unknown"
_NAME = re.compile(r"[a-z][a-z0-9_]*")

# Run by a child process: only the answer goes to its stdout, whatever the package prints.
_CHILD = """
import json, os, sys
sys.path[:] = json.loads(sys.argv[1])
answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)
from cvport.models.plugins import describe
content = describe(*sys.argv[2:])
json.dump(content, answer)
answer.flush()
os._exit(0)
"""


class PluginError(Exception):
    """Why a model of another package cannot be used."""


class Plugin(NamedTuple):
    """An installed entry point.

    Attributes:
        name: The model.
        value: ``"module:attribute"`` of its spec; "" where it cannot be read.
        package: Name of the distribution that has it.
        version: The distribution's version.

    """

    name: str
    value: str
    package: str
    version: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that is listed.

    Attributes:
        name: The name that the commands take.
        package: Name of the distribution that it comes from.
        version: The distribution's version.
        task: What the model finds; "" where its spec could not be read.
        kind: The kind of the model's result; "" likewise.
        hub: The address of the published weights, or None.
        reason: Why the model cannot be used; None if it can.

    """

    name: str
    package: str
    version: str
    task: str = ""
    kind: str = ""
    hub: str | None = None
    reason: str | None = None


def name_problem(name: str, models: Collection[str]) -> str | None:
    """Return why a model of another package cannot have this name; None if it can.

    Args:
        name: The name.
        models: The models of cvport itself.

    """
    if name in models:
        return f"cvport itself has a model {name!r}"
    if name in COMMANDS:
        return f"{name!r} is a command of cvport"
    if name in _FOLDERS:
        return f"{name!r} is the folder of exports that failed"
    if not _NAME.fullmatch(name):
        return f"{name!r} is no name of a model: a lowercase letter, then lowercase letters, digits and underscores"
    return None


def installed() -> list[Plugin]:
    """Return the entry points of all installed packages, by name; nothing is imported.

    A package whose entry points cannot be read hides no other: it has one of its own name, without a value.
    """
    found: dict[str, list[Plugin]] = {}
    for distribution in importlib.metadata.distributions():
        points = _entry_points(distribution)
        if points or points is None:
            package, version = _identity(distribution)
            pairs = [(package, "")] if points is None else [(point.name, point.value) for point in points]
            # A package that is found twice is run from its first place.
            key = f"{len(found)}" if package == _UNKNOWN else package.lower().replace("_", "-")
            found.setdefault(key, [Plugin(name, value, package, version) for name, value in pairs])
    return sorted(plugin for plugins in found.values() for plugin in plugins)


def clash(plugin: Plugin, plugins: Sequence[Plugin], models: Collection[str]) -> str | None:
    """Return why the name of a plug-in is not its own; None if it is."""
    if not plugin.value:
        return "the entry points of its package cannot be read"
    others = [other for other in plugins if other.name == plugin.name and other is not plugin]
    if problem := name_problem(plugin.name, models):
        return problem
    if others:
        packages = " and ".join(sorted({other.package for other in (plugin, *others)}))
        return f"the name is taken twice, by {packages}"
    return None


def load(plugin: Plugin) -> ModelSpec:
    """Import the spec of a plug-in.

    Raises:
        PluginError: It cannot be imported, or is no spec of that name.

    """
    try:
        spec = importlib.metadata.EntryPoint(plugin.name, plugin.value, GROUP).load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # SystemExit too: a package that ends the program when it is imported is broken, the program is not.
        raise PluginError(f"importing {plugin.value!r} fails: {_first_line(error)}") from error
    if not isinstance(spec, ModelSpec):
        raise PluginError(f"{plugin.value!r} is a {type(spec).__name__}, not a ModelSpec")
    if spec.name != plugin.name:
        raise PluginError(f"the entry point is called {plugin.name!r}, its spec {spec.name!r}")
    if "network" not in spec.code:
        raise PluginError("the spec names no network")
    return spec


def describe(name: str, value: str) -> dict[str, Any]:
    """Return what is listed of a plug-in: its task, kind and hub, or the reason why it cannot be used."""
    try:
        spec = load(Plugin(name, value, "", ""))
    except PluginError as error:
        return {"reason": str(error)}
    return {
        "task": str(spec.task),
        "kind": str(spec.kind),
        "hub": None if spec.hub is None else str(spec.hub),
    }


def examine(models: Collection[str], kinds: Collection[str] | None, patience: float = PATIENCE) -> list[Entry]:
    """Return an entry for each installed plug-in, with the reason if it cannot be used.

    Args:
        models: The models of cvport itself.
        kinds: The kinds of result that are known; None to ask for none.
        patience: Seconds after which an import is given up. All run at the same time.

    """
    plugins = installed()
    reasons = [clash(plugin, plugins, models) for plugin in plugins]
    contents = _describe_apart([p for p, reason in zip(plugins, reasons, strict=True) if reason is None], patience)
    entries = []
    for plugin, reason in zip(plugins, reasons, strict=True):
        content = {"reason": reason} if reason else next(contents)
        kind = content.get("kind")
        if kind is not None and kinds is not None and kind not in kinds:
            content = {**content, "reason": f"this version of cvport has no kind of result {kind!r}"}
        entries.append(Entry(plugin.name, plugin.package, plugin.version, **content))
    return entries


def _describe_apart(plugins: Sequence[Plugin], patience: float) -> Iterator[dict[str, Any]]:
    """Yield what `describe` returns for each plug-in in a process of its own."""
    with contextlib.ExitStack() as stack:
        end = time.monotonic() + patience
        started = []
        for plugin in plugins:
            answer = stack.enter_context(tempfile.TemporaryFile())
            child = _start(plugin, answer)
            stack.callback(_stop, child)
            started.append((child, answer))
        for child, answer in started:
            try:
                child.wait(max(end - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                yield {"reason": f"importing it takes over {patience:g} s"}
            else:
                yield _read(answer, child.returncode)


def _start(plugin: Plugin, answer: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 (what is imported is what is installed)
        [sys.executable, "-c", _CHILD, json.dumps(sys.path), plugin.name, plugin.value],
        stdin=subprocess.DEVNULL,
        stdout=answer,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End a process and what it has started."""
    if child.poll() is None:
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
        child.wait()


def _read(answer: IO[bytes], code: int) -> dict[str, Any]:
    answer.seek(0)
    try:
        content: dict[str, Any] = json.loads(answer.read())
    except ValueError:
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return {"reason": f"importing it ends the interpreter ({how})"}
    return content


def _entry_points(distribution: Distribution) -> list[EntryPoint] | None:
    """Return the entry points of the group; None where they cannot be read."""
    # Whatever is wrong with the files of one package must not hide the others.
    try:
        return [point for point in distribution.entry_points if point.group == GROUP]
    except Exception:
        return None if _mentions_group(distribution) else []


def _mentions_group(distribution: Distribution) -> bool:
    try:
        return GROUP in (distribution.read_text("entry_points.txt") or "")
    except Exception:
        return False


def _identity(distribution: Distribution) -> tuple[str, str]:
    """Return the name and the version of a distribution, as far as its files tell them."""
    try:
        return str(distribution.metadata["Name"] or _UNKNOWN), str(distribution.version or _UNKNOWN)
    except Exception:
        return _UNKNOWN, _UNKNOWN


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
