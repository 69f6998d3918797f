"""How ATC, the converter of CANN, reads a file: by tables made from its public sources. Nothing of CANN is run."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from .cann_traps import CHECKS
from .tables import in_spans, read_table
from .verdicts import Finding, Outcome, judge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .graph import Graph, Input, Node

_TABLE = "cann.json"
# Of ONNX 1.12.0, which CANN's list of operators names.
_IR_VERSION = 8
_SHOWN = 3
# CANN's own operators, which the table leaves out.
_VENDOR = "npu"


def check(graph: Graph, release: str) -> Outcome:
    """Return what a release makes of a graph."""
    nodes = tuple(judge(node, _findings(node, graph, release)) for node in graph.nodes)
    commits = ", ".join(f"{name} {commit[:12]}" for name, commit in _release(release)["commits"].items())
    note = f"no CANN was run: this is what its public sources say at {_release(release)['tag']} ({commits})"
    return Outcome(nodes, tuple(_whole(graph, release)), (note,))


def _release(release: str) -> Mapping[str, Any]:
    content: Mapping[str, Any] = read_table(_TABLE)["releases"][release]
    return content


def _findings(node: Node, graph: Graph, release: str) -> Iterator[Finding]:
    registration = _registration(node, graph, release)
    if registration is not None:
        yield registration
        return
    for trap in read_table(_TABLE)["traps"]:
        applies = node.op_type in trap["operators"] and in_spans(graph.opset, trap["opsets"])
        if not applies or not _between(release, trap["releases"]):
            continue
        try:
            found = CHECKS[trap["name"]](node, graph)
        except (TypeError, ValueError):
            yield Finding("unknown", "an attribute has another type than ONNX gives it")
            return
        if found:
            words = trap["verdict"], trap["reason"], trap["mended_in"], trap["safe_form"]
            yield Finding(*words, _source(trap["source"]), trap["certainty"])


def _registration(node: Node, graph: Graph, release: str) -> Finding | None:
    """Return what is found where a node is looked up, None for one whose reading was looked at."""
    table = read_table(_TABLE)
    if node.domain or graph.opset == 0:
        return _foreign(node, graph)
    if node.op_type in table["core"]:
        return None
    since = table["operators"].get(node.op_type)
    if graph.opset > table["newest_opset"] and not _beyond(since):
        reason = f"opset {graph.opset} is not registered: the newest is {table['newest_opset']} (E16002)"
        return Finding("not registered", reason, "", f"opset {table['newest_opset']}")
    if since is None:
        safe_form = table["safe_forms"].get(node.op_type, "")
        return Finding("not registered", "it is registered in no release (E16002)", "", safe_form)
    return _registered(node.op_type, graph.opset, release, since)


def _registered(op_type: str, opset: int, release: str, since: Mapping[str, str]) -> Finding | None:
    """Return what is found of an operator that some release registers, by the opsets from each release on."""
    table = read_table(_TABLE)
    spans = [opsets for first, opsets in since.items() if not _before(release, first)]
    if not spans:
        reason = f"its plugin is in no open source before {next(iter(since))}; the package that is shipped may have it"
        return Finding("unknown", reason)
    if not in_spans(opset, spans[-1]):
        later = (first for first, opsets in since.items() if _before(release, first) and in_spans(opset, opsets))
        reason = f"it is registered at opset {spans[-1]}, not at {opset} (E16002)"
        return Finding("not registered", reason, next(later, ""), table["safe_forms"].get(op_type, ""))
    if op_type not in table["looked_at"]:
        return Finding("unknown", "it is registered; how its attributes are read was not looked at")
    return None


def _foreign(node: Node, graph: Graph) -> Finding:
    """Return what is found of an operator that is not ONNX's own."""
    if (node.domain, node.op_type) in graph.functions:
        return Finding("unknown", "the file defines it as a function; whether that is read is not known")
    if node.domain == _VENDOR:
        return Finding("unknown", "it is an operator of CANN's own, which the table leaves out")
    domain = node.domain or "ai.onnx"
    if node.domain:
        return Finding("not registered", f"operators of the domain {domain} are not registered (E16002)")
    return Finding("not registered", f"the file asks for no opset of {domain}")


def _beyond(since: Mapping[str, str] | None) -> bool:
    """Tell whether an operator is registered at opsets beyond the newest that others have."""
    newest = int(read_table(_TABLE)["newest_opset"])
    return any(in_spans(newest + 1, spans) for spans in (since or {}).values())


def _before(release: str, other: str) -> bool:
    releases = list(read_table(_TABLE)["releases"])
    return releases.index(release) < releases.index(other)


def _between(release: str, span: list[str]) -> bool:
    first, last = span
    return not _before(release, first) and not _before(last, release)


def _source(source: Mapping[str, str]) -> str:
    """Return where something was read, as ``organisation/repository@commit file:lines``."""
    commit = _release(source["release"])["commits"][source["repository"]]
    return f"{read_table(_TABLE)['organisation']}/{source['repository']}@{commit[:12]} {source['file']}"


def _whole(graph: Graph, release: str) -> Iterator[Finding]:
    """Yield what is found about a file as a whole."""
    table = read_table(_TABLE)
    rule = table["one_opset_import"]
    if len(graph.opsets) > 1 and _between(release, rule["releases"]) and any(not node.domain for node in graph.nodes):
        named = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in graph.opsets)
        yield Finding(
            "not registered",
            f"several opset imports ({named}): a node of ONNX's own domain is refused then (E16005)",
            rule["mended_in"],
            "one opset import; drop those that no node needs",
            _source(rule["source"]),
        )
    opened = [entry for entry in graph.inputs if entry.shape is None or not all(_fixed(side) for side in entry.shape)]
    if opened:
        yield Finding(
            "unknown",
            f"open sides in {', '.join(entry.name for entry in opened)}: ATC stops with E10001 unless they are given",
            "",
            f'a fixed batch size; or --input_shape="{";".join(map(_input_shape, opened))}", which mends nothing else',
            _source(table["open_sides"]["source"]),
        )
    if graph.model.ir_version > _IR_VERSION:
        yield Finding(
            "unknown",
            f"IR version {graph.model.ir_version} is newer than {_IR_VERSION}, that of ONNX 1.12.0, which CANN's list"
            " of operators names; whether the parser looks at it is not known",
        )
    yield from _names(graph)


def _names(graph: Graph) -> Iterator[Finding]:
    """Yield what is found about the names of nodes."""
    given = Counter(node.given_name for node in graph.nodes)
    unnamed = given.pop("", 0)
    safe_form = "a name of its own for each node"
    if unnamed:
        reason = f"{unnamed} nodes have no name; what the parser calls them is not known"
        yield Finding("unknown", reason, "", safe_form)
    repeated = [name for name, count in given.items() if count > 1]
    if repeated:
        more = f" and {len(repeated) - _SHOWN} more" if len(repeated) > _SHOWN else ""
        reason = f"several nodes are called {', '.join(repeated[:_SHOWN])}{more}; what becomes of them is not known"
        yield Finding("unknown", reason, "", safe_form)


def _fixed(side: int | str | None) -> bool:
    return isinstance(side, int) and side > 0


def _input_shape(entry: Input) -> str:
    """Return an entry of ``--input_shape``: a batch of 1, other open sides by their names."""
    if not entry.shape:
        return f"{entry.name}:..."
    batch, *others = entry.shape
    sides = [batch if _fixed(batch) else 1, *(side or "?" for side in others)]
    return f"{entry.name}:{','.join(map(str, sides))}"
