"""The models: a table of where each spec is, imported when asked for, and those of other packages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UsageError, did_you_mean
from .lazy import resolve

if TYPE_CHECKING:
    from collections.abc import Collection

    from .plugins import Entry, Plugin
    from .spec import ModelSpec

MODELS = {
    "yolox": ".yolox.spec:SPEC",
    "nanodet": ".nanodet.spec:SPEC",
    "hand_static": ".hand_static.spec:SPEC",
    "landmarks68": ".landmarks68.spec:SPEC",
    "emotion": ".emotion.spec:SPEC",
}


def list_models() -> list[str]:
    """Return the names of all models that can be used: cvport's own, then those of other packages."""
    return [entry.name for entry in survey() if entry.reason is None]


def known_names() -> list[str]:
    """Return the names that can be asked for: cvport's own models, then those of other packages, broken or not.

    Nothing is imported, so this takes a few milliseconds whatever is installed.
    """
    from . import plugins

    found = plugins.installed()
    return [*MODELS, *(entry.name for entry in found if plugins.clash(entry, found, MODELS) is None)]


def is_known(name: str) -> bool:
    """Tell whether there is a model of this name, usable or not."""
    if name in MODELS:
        return True
    from . import plugins

    return any(plugin.name == name for plugin in plugins.installed())


def survey(kinds: Collection[str] | None = None) -> list[Entry]:
    """Return an entry for each model; those of other packages that cannot be used have a reason.

    Each package is imported in a process of its own, for 5 s at most.

    Args:
        kinds: The kinds of result that are known here: a model of another kind cannot be used. None: any will do.

    """
    from . import plugins

    return [*map(_own_entry, MODELS), *plugins.examine(MODELS, kinds)]


def get_model(name: str) -> ModelSpec:
    """Return the spec of a model.

    Raises:
        UsageError: There is no model of that name, or its package is broken.

    """
    if name in MODELS:
        spec: ModelSpec = resolve(MODELS[name], __package__)
        return spec
    from . import plugins

    plugin = _find(name)
    try:
        return plugins.load(plugin)
    except plugins.PluginError as error:
        raise _unusable(plugin, str(error)) from error


def package_of(name: str) -> str | None:
    """Return the package that a model comes from, such as ``cvport-shapes 0.1.0``; None for cvport's own.

    Raises:
        UsageError: There is no model of that name.

    """
    if name in MODELS:
        return None
    plugin = _find(name)
    return f"{plugin.package} {plugin.version}"


def _find(name: str) -> Plugin:
    """Return the one entry point of a model."""
    from . import plugins

    found = plugins.installed()
    own = [plugin for plugin in found if plugin.name == name]
    if not own:
        raise UsageError(f"there is no model {name!r}", did_you_mean(name, known_names()))
    if reason := plugins.clash(own[0], found, MODELS):
        raise _unusable(own[0], reason)
    return own[0]


def _unusable(plugin: Plugin, reason: str) -> UsageError:
    return UsageError(
        f"the model {plugin.name!r} of {plugin.package} {plugin.version} cannot be used: {reason}",
        f"Mend the package, or do without it: pip install --upgrade {plugin.package}, pip uninstall {plugin.package}",
    )


def _own_entry(name: str) -> Entry:
    from .. import __version__
    from .plugins import Entry

    spec = get_model(name)
    return Entry(name, "cvport", __version__, spec.task, spec.kind, spec.hub)
