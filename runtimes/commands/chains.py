"""``--chain``: what its value means, and the models that it opens."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import UsageError
from ..arguments import class_ids
from ..chain import Chain, Stage
from ..kinds.registry import get_kind
from .options import open_predictor

if TYPE_CHECKING:
    from ..predictor import Predictor
    from ..stored import StoredBoxes

_EXAMPLE = "For example --chain yolox,hand_static or --chain nanodet:face,emotion"
# What stands for the settings of the first model alone.
_SETTINGS = ("conf", "iou", "max_det", "classes", "agnostic_nms")


class Link(NamedTuple):
    """One model of a chain, as it was named.

    Attributes:
        model: Its name or file.
        classes: Names of the classes that the next model looks at; empty for all.
        weights: What to build it from, for backends that run networks.

    """

    model: str
    classes: tuple[str, ...] = ()
    weights: str | None = None


def parse_chain(text: str, weights: str | None) -> list[Link]:
    """Return the models of ``A:CLASS+CLASS,B,...`` and of as many weights.

    Raises:
        UsageError: An empty name, or another number of weights.

    """
    links = []
    for part in text.split(","):
        model, colon, classes = part.strip().rpartition(":")
        if not colon or "/" in classes or classes.lower().endswith(".onnx"):
            model, classes = part.strip(), ""
        names = tuple(name.strip() for name in classes.split("+")) if classes else ()
        if not model or (colon and classes and not all(names)):
            raise UsageError(f"--chain {text}: a name is missing", _EXAMPLE)
        links.append(Link(model, names))
    if len(links) == 1:
        raise UsageError(f"--chain {text} names one model", _EXAMPLE)
    given = [None] * len(links) if weights is None else weights.split(",")
    if len(given) != len(links):
        raise UsageError(
            f"--chain has {len(links)} models, --weights {len(given)} entries",
            "Give one for each, with commas between.",
        )
    return [link._replace(weights=entry) for link, entry in zip(links, given, strict=True)]


def open_chain(
    backend: str,
    options: dict[str, Any],
    links: list[Link],
    stored: StoredBoxes | None,
    **instead: Any,  # noqa: ANN401
) -> Chain:
    """Open the models of a chain; thresholds and the like belong to the first, stored boxes come before it.

    Raises:
        UsageError: A model finds no boxes for the next, or has no such class.

    """
    stages = []
    with ExitStack() as opened:
        for number, link in enumerate(links):
            own = {**options, "model": link.model, "weights": link.weights}
            if number:
                own |= dict.fromkeys(_SETTINGS)
            predictor = opened.enter_context(open_predictor(backend, own, **instead))
            stages.append(Stage(predictor, _passes(predictor, link)))
        if stored is not None:
            stored.backend = stages[0].predictor.backend
            stages.insert(0, Stage(stored))
        chain = Chain(stages)
        opened.pop_all()
    return chain


def _passes(predictor: Predictor, link: Link) -> frozenset[int] | None:
    """Return the class ids that go on; None for all."""
    if not link.classes:
        return None
    if not get_kind(predictor.spec.kind).selects_classes:
        raise UsageError(f"{link.model} has no classes to choose from", f"Leave out :{'+'.join(link.classes)}.")
    return frozenset(class_ids(link.classes, predictor.labels, predictor.spec.translations))
