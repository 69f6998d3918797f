"""What a target makes of a file: findings, a verdict for each node, a report."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .graph import Node

Verdict = Literal["ok", "experimental", "unknown", "attribute ignored", "misread", "not registered"]

# From the best to the worst.
VERDICTS: tuple[Verdict, ...] = ("ok", "experimental", "unknown", "attribute ignored", "misread", "not registered")
# Those with which a file cannot be read rightly; the others are warnings.
FATAL: frozenset[Verdict] = frozenset({"misread", "not registered"})

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Finding:
    """Something about a node, or about the file as a whole.

    Attributes:
        verdict: How the target takes it.
        reason: Why, in a few words; empty for "ok".
        mended_in: The first release that reads it rightly; empty where none is known.
        safe_form: What to write in its place; empty where nothing is known.
        source: Where this was read, as repository@commit and file; empty where it was seen in a run.
        certainty: "read" in the source, "inferred" from it, or "unknown", in the words of the table; empty for a run.

    """

    verdict: Verdict
    reason: str = ""
    mended_in: str = ""
    safe_form: str = ""
    source: str = ""
    certainty: str = ""


_OK = Finding("ok")


@dataclass(frozen=True)
class NodeVerdict:
    """What a target makes of one node.

    Attributes:
        node: The node's name; one in a subgraph stands behind the names of the nodes around it: ``outer/body/inner``.
        op_type: The operator, behind its domain where that is not ONNX's own: ``com.microsoft.Gelu``.
        findings: What was found, the worst first; empty where all is right.

    """

    node: str
    op_type: str
    findings: tuple[Finding, ...] = ()

    @property
    def worst(self) -> Finding:
        """The finding that decides."""
        return self.findings[0] if self.findings else _OK

    @property
    def verdict(self) -> Verdict:
        """How the target takes the node."""
        return self.worst.verdict

    @property
    def reason(self) -> str:
        """Why."""
        return self.worst.reason

    @property
    def mended_in(self) -> str:
        """The first release that reads it rightly."""
        return self.worst.mended_in

    @property
    def safe_form(self) -> str:
        """What to write in its place."""
        return self.worst.safe_form

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON; ``also`` holds what else was found."""
        also = [asdict(finding) for finding in self.findings[1:]]
        return {"node": self.node, "op_type": self.op_type, **asdict(self.worst), "also": also}


def judge(node: Node, findings: Iterable[Finding] = ()) -> NodeVerdict:
    """Return the verdict on a node."""
    ranked = sorted(findings, key=lambda finding: -VERDICTS.index(finding.verdict))
    return NodeVerdict(node.name, node.kind, tuple(ranked))


@dataclass(frozen=True)
class Outcome:
    """What a checker found.

    Attributes:
        nodes: All nodes in the file's order, those of subgraphs included.
        findings: About the file as a whole.
        notes: What was run, and what was not.

    """

    nodes: tuple[NodeVerdict, ...]
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """What a target makes of a file.

    Attributes:
        file: The file.
        target: The target's name.
        outcome: What was found.

    """

    file: str
    target: str
    outcome: Outcome

    @property
    def verdict(self) -> Verdict:
        """The worst of all."""
        found = [*(entry.verdict for entry in self.outcome.nodes), *(entry.verdict for entry in self.outcome.findings)]
        return max(found, key=VERDICTS.index, default="ok")

    @property
    def counts(self) -> dict[str, int]:
        """How many nodes have each verdict, the best first; verdicts of none are left out."""
        counted = Counter(entry.verdict for entry in self.outcome.nodes)
        return {verdict: counted[verdict] for verdict in VERDICTS if counted[verdict]}

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "schema_version": SCHEMA_VERSION,
            "file": self.file,
            "target": self.target,
            "verdict": self.verdict,
            "counts": self.counts,
            "model": [asdict(finding) for finding in self.outcome.findings],
            "nodes": [entry.to_dict() for entry in self.outcome.nodes if entry.verdict != "ok"],
            "notes": list(self.outcome.notes),
        }
