"""The table of targets: what a file can be checked for. A new target is a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import UsageError, did_you_mean
from ...models.lazy import resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    from .graph import Graph
    from .verdicts import Outcome


@dataclass(frozen=True)
class Target:
    """One row of the table.

    Attributes:
        name: What ``--for`` takes.
        summary: A few words for people.
        checker: ``"module:attribute"`` of what checks a graph for a release of the target; may raise `BackendError`
            where it needs what is not installed.
        release: The release, as the checker's own table calls it; empty where it is the installed one.
        aliases: Further names.

    """

    name: str
    summary: str
    checker: str
    release: str = ""
    aliases: tuple[str, ...] = ()

    def check(self, graph: Graph) -> Outcome:
        """Check a graph.

        Raises:
            BackendError: The check runs the file in a package that is not installed.
            ArtifactError: The file cannot be run.

        """
        check: Callable[[Graph, str], Outcome] = resolve(self.checker, __package__ or "")
        return check(graph, self.release)


_ATC = "the parser of ATC, CANN"
_NINE = ("cann-9.0.0", "cann-9.0.1")

TARGETS = (
    Target("cann-8.5", f"{_ATC} 8.5.0", ".cann:check", "8.5.0", ("cann-8.5.0",)),
    Target("cann-9.0", f"{_ATC} 9.0.0 and 9.0.1, which read the same", ".cann:check", "9.0.1", _NINE),
    Target("cann-9.1", f"{_ATC} 9.1.0", ".cann:check", "9.1.0", ("cann-9.1.0",)),
    Target("cann-9.2-beta.1", f"{_ATC} 9.2.0-beta.1", ".cann:check", "9.2.0-beta.1", ("cann-9.2.0-beta.1",)),
    Target("cann-master", f"{_ATC}, branch master of August 2026", ".cann:check", "master"),
    Target("onnxruntime-1.19", "ONNX Runtime 1.19, the CPU provider", ".onnxruntime:check", "1.19"),
    Target("opencv", "the installed OpenCV, cv2.dnn", ".opencv:check"),
    Target("openvino", "the installed OpenVINO, on the CPU", ".openvino:check"),
)


def get_target(name: str) -> Target:
    """Return a target by its name.

    Raises:
        UsageError: There is none of this name.

    """
    for target in TARGETS:
        if name in (target.name, *target.aliases):
            return target
    raise UsageError(f"there is no target {name!r}", did_you_mean(name, [target.name for target in TARGETS]))
