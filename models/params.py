"""Parameters of preprocessing and postprocessing: frozen dataclasses that are checked when made, also from JSON.

They are sealed in exported files, so whatever is read may be damaged or of another version. Standard library alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any, ClassVar, Literal, TypeVar

from .fields import check_fields, kinds_of, short

_T = TypeVar("_T")

# An input of this size has 0.8 GB; the largest of these networks was trained at 640.
MOST_PIXELS_A_SIDE = 8192
# Of values from 0 to 255: what is divided by less has no float32 left for the sums of a network.
SMALLEST_STD = 1e-6


@dataclass(frozen=True)
class Params:
    """Base of parameters: takes JSON values (lists for tuples), and refuses what is of another type with a ValueError.

    Fields are of int, float, bool, str, a Literal, or a tuple of these. A subclass that limits values further does so
    in a ``__post_init__`` of its own, after that of this class.

    Attributes:
        legacy: Fields of older versions: the old name -> the new name, and old -> new values.

    """

    legacy: ClassVar[Mapping[str, tuple[str, Mapping[Any, Any]]]] = {}

    def __post_init__(self) -> None:
        """Turn lists into tuples and check types.

        Raises:
            ValueError: A value is of another type or length than its field, or larger than `fields.MOST`.

        """
        for name in kinds_of(type(self)):
            value = getattr(self, name)
            if isinstance(value, list):
                value = tuple(value)
                object.__setattr__(self, name, value)
            if isinstance(value, tuple) and not value:
                raise ValueError(f"{name} is (), which is empty")
        check_fields(self)


def params_from_json(kind: type[_T], content: object, *, legacy: bool = False) -> _T:
    """Build a frozen dataclass from its JSON form: the very fields, lists as tuples.

    Args:
        kind: The dataclass, such as a subclass of `Params`.
        content: The JSON object.
        legacy: Whether the content is of an older version: renamed fields are translated by the class's ``legacy``,
            and missing ones take their defaults.

    Raises:
        ValueError: The content is no object, fields are missing or unknown, or a value makes no sense.

    """
    if not isinstance(content, dict):
        raise ValueError(f"it does not fit {kind.__name__}: {short(content)} is no object")  # noqa: TRY004
    known = fields(kind)  # type: ignore[arg-type]
    needed = {field.name for field in known if not (legacy and _has_default(field))}
    values = _translated(content, getattr(kind, "legacy", {})) if legacy else dict(content)
    unknown, missing = sorted(set(values) - {field.name for field in known}), sorted(needed - set(values))
    wrong = [f"{what}: {', '.join(names)}" for what, names in (("unknown", unknown), ("missing", missing)) if names]
    if wrong:
        raise ValueError(f"it does not fit {kind.__name__} ({'; '.join(wrong)})")
    try:
        return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
    except TypeError as error:
        raise ValueError(f"it does not fit {kind.__name__}: {error}") from error


def _has_default(field: Field[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _translated(content: dict[str, Any], legacy: Mapping[str, tuple[str, Mapping[Any, Any]]]) -> dict[str, Any]:
    """Return the content with the names and values of today."""
    values = {}
    for name, value in content.items():
        new_name, new_values = legacy.get(name, (name, {}))
        values[new_name] = new_values.get(value, value) if isinstance(value, str) else value
    return values


def check_size(size: tuple[int, int]) -> None:
    """Refuse an (H, W) that is no size of an image, with a ValueError."""
    if min(size) < 1:
        raise ValueError(f"input_size {size} is not positive")
    if max(size) > MOST_PIXELS_A_SIDE:
        raise ValueError(f"input_size {size} has a side over {MOST_PIXELS_A_SIDE} pixels")


@dataclass(frozen=True)
class InputParams(Params):
    """The network input.

    Attributes:
        input_size: (H, W) of the network input.
        colour: Channel order of the network input.

    """

    input_size: tuple[int, int]
    colour: Literal["rgb", "bgr"]

    def __post_init__(self) -> None:
        """Refuse values that make no sense, with a ValueError."""
        super().__post_init__()
        check_size(self.input_size)


@dataclass(frozen=True)
class NormalisedParams(InputParams):
    """The network input, whose values are normalised channel by channel.

    Attributes:
        mean: Subtracted from 0..255 values, in network channel order.
        std: Divided by, in network channel order.

    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        """Refuse values that make no sense, with a ValueError."""
        super().__post_init__()
        if min(map(abs, self.std)) < SMALLEST_STD:
            raise ValueError(f"std {self.std} has a 0, or nearly: nothing can be divided by it")
