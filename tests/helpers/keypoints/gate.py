"""The second of the two modules of the kind: where its limits come from."""

from cvport.exporters.gate.kinds.base import GateKind

from .kind import KeypointLimit, measure


def _derive(decode, exact, rounded, safety):
    stats = measure(decode(exact), decode(rounded))
    return KeypointLimit(max(safety * stats.max_px, 1e-2), max(safety * stats.max_score, 1e-5), "rounding")


GATE = GateKind(derive=_derive, device=KeypointLimit(0.5, 1e-2, "none seen"))
