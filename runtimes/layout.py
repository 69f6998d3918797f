"""Whether the tensors of a file are those that its seal speaks of: looked at before anything is run or allocated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ..models.spec import ModelSpec
    from .backends.base import Declared
    from .seal import Seal

_CHANNELS = 3


def check_layout(spec: ModelSpec, seal: Seal, params: Any, declared: Mapping[str, Declared], path: Path) -> None:  # noqa: ANN401
    """Refuse a file whose tensors are not those of its seal: batch, input size, classes, grids, types.

    Args:
        spec: The model.
        seal: What the file says about itself.
        params: The sealed parameters of postprocessing.
        declared: What its graph says about its inputs and outputs; empty where that is not known.
        path: The file, for messages.

    Raises:
        ArtifactError: They do not belong together.

    """
    problems = list(_problems(spec, seal, params, declared)) if declared else []
    if problems:
        raise ArtifactError(
            f"the seal of {path} is about another network than the file holds: {'; '.join(problems)}",
            "Copy it again from where it was exported, or export it again: cvexport MODEL",
        )


def _problems(spec: ModelSpec, seal: Seal, params: Any, declared: Mapping[str, Declared]) -> Iterator[str]:  # noqa: ANN401
    batch = seal.batch if isinstance(seal.batch, int) else None
    wanted: dict[str, tuple[int | None, ...]] = {spec.input_name: (_CHANNELS, *seal.input_size)}
    shapes = spec.output_shapes(params, seal.labels, seal.input_size)
    if shapes and set(shapes) != set(spec.output_names):
        yield f"its parameters are for the outputs {', '.join(shapes)}"
        return
    for name, (dtype, sides) in declared.items():
        if dtype != spec.dtype_of(name):
            yield f"{name} is of {dtype}"
        expected = wanted.get(name) or shapes.get(name)
        if expected is None:
            continue
        if len(sides) != len(expected) + 1 or not all(map(_fits, sides[1:], expected)):
            yield f"{name} is {_shown(sides)}, it should be {_shown((batch, *expected))}"
        elif sides[0] is not None and sides[0] != batch:
            yield f"{name} has a batch of {sides[0]}, sealed is {seal.batch}"


def _fits(side: int | None, expected: int | None) -> bool:
    return expected is None or side == expected


def _shown(sides: tuple[int | None, ...]) -> str:
    return f"({', '.join('any' if side is None else str(side) for side in sides)})"
