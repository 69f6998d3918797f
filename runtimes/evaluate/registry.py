"""What measures each kind of result against truth: a table, imported when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import UsageError
from ...models.lazy import resolve

if TYPE_CHECKING:
    from .base import Evaluation

# By the name of the kind of result.
EVALUATIONS = {
    "detections": ".detections:EVALUATION",
    "landmarks": ".landmarks:EVALUATION",
    "classes": ".classes:EVALUATION",
}


def get_evaluation(kind: str) -> Evaluation:
    """Return what measures a kind of result.

    Raises:
        UsageError: There is nothing that measures this kind.

    """
    if kind not in EVALUATIONS:
        raise UsageError(f"results of the kind {kind} cannot be evaluated", f"These can: {', '.join(EVALUATIONS)}.")
    evaluation: Evaluation = resolve(EVALUATIONS[kind], __package__ or "")
    return evaluation
