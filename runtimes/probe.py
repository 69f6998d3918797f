"""The probe of an exported file: an input that is drawn by formula, and some of the values that have to come out.

The image is drawn by integer arithmetic alone, so that it is the same with every version of every library, and goes
through the model's own preprocessing with the sealed parameters. What the network makes of it is compared with values
that were sampled at the export. numpy, and what the preprocessing needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArtifactError
from .parity.tensors import measure_tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from ..models.spec import ModelSpec
    from .backends.base import Array
    from .parity.tensors import TensorStats
    from .seal import Seal

# Another image, or another way to compare, is another version.
VERSION = 1
# More values would tell little more, and the seal is read at every start.
MOST_VALUES = 256
# Significant digits of the expected values: float64 has three times as many, so the last of these do not depend on the
# machine. What is far below the largest value does: there, digits end ten places below that one's first.
DIGITS = 5
_PLACES_BELOW = 9

# Strength of each octave of the image: shapes of half its shorter side, of a quarter and so on.
_STRENGTHS = (4, 4, 3, 3, 2, 2)
# Shapes are not smaller than this, in pixels: a small image would be noise.
_FINEST = 4
# Each colour is three parts light, which all colours share, and one part its own.
_LIGHT = 3
# Brings the sum of the octaves to a standard deviation of about 60 grey levels.
_CONTRAST = 16
_GREYS, _MIDDLE = 256, 128
_SEEDS = 2**32
_LARGEST = float(np.finfo(np.float32).max)

_AGAIN = "Export it again: cvexport MODEL"


@dataclass(frozen=True)
class Samples:
    """Some values of one output.

    Attributes:
        indices: Where they stand in the output of one row, flattened; rising.
        values: (n,) float64, what has to be there, rounded to `DIGITS` significant digits.

    """

    indices: tuple[int, ...]
    values: NDArray[np.float64]

    @property
    def largest(self) -> float:
        """The largest magnitude among the values: that of the whole output, whose largest value is always sampled."""
        return float(np.abs(self.values).max())


@dataclass(frozen=True)
class Probe:
    """What a seal holds to check a file with.

    Attributes:
        seed: Of the image.
        outputs: Expected values by output, in the network's order.

    """

    seed: int
    outputs: Mapping[str, Samples]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, which the seal holds."""
        outputs = {
            name: {"indices": list(samples.indices), "values": samples.values.tolist()}
            for name, samples in self.outputs.items()
        }
        return {"version": VERSION, "seed": self.seed, "outputs": outputs}


def read_probe(seal: Seal, names: tuple[str, ...], path: object) -> Probe:
    """Return the probe of a seal.

    Args:
        seal: The seal of an exported file.
        names: The network's outputs, in order.
        path: The file, for messages.

    Raises:
        ArtifactError: The seal has no probe, one of another version, or a damaged one.

    """
    content = seal.probe
    if content is None:
        raise ArtifactError(
            f"{path} holds no expected values: it was exported before files had them",
            f"Export it again: cvexport {seal.model}. Or compare it with its network: cvexport parity FILE --weights W",
        )
    version = content.get("version")
    if version != VERSION or type(version) is not int:
        raise ArtifactError(
            f"{path} has a probe of version {version!r}, this cvport reads {VERSION}",
            "Use the cvport version that made it, or export it again.",
        )
    try:
        return _parse(content, names)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise ArtifactError(f"the probe of {path} cannot be used: {error}", _AGAIN) from error


def draw_image(size: tuple[int, int], seed: int) -> NDArray[np.uint8]:
    """Draw soft blotches of several sizes.

    Args:
        size: (H, W).
        seed: Another seed, 0 to 2**32 - 1, is another image.

    Returns:
        (H, W, 3) uint8, B G R.

    """
    total = np.zeros((*size, 3), np.int32)
    for octave, strength in enumerate(_STRENGTHS):
        cell = max(min(size) >> (octave + 1), _FINEST)
        rows, columns = (side // cell + 2 for side in size)
        numbers = (_numbers(rows * columns * 4, seed, octave) % _GREYS).astype(np.int32)
        grid = numbers.reshape(rows, columns, 4)
        total += strength * _interpolate(_LIGHT * grid[..., :1] + grid[..., 1:], size, cell)
    middle = sum(_STRENGTHS) * (_LIGHT + 1) * _GREYS // 2
    return np.clip(_MIDDLE + (total - middle) // _CONTRAST, 0, _GREYS - 1).astype(np.uint8)


def probe_input(spec: ModelSpec, params: Any, size: tuple[int, int], seed: int, rows: int = 1) -> Array:  # noqa: ANN401
    """Return what goes into the network: the image after the model's own preprocessing.

    Args:
        spec: The model.
        params: Parameters of its preprocessing.
        size: (H, W) of the network input; an image of that size is not resized.
        seed: Of the image.
        rows: The image is repeated so often, for a file of a fixed batch.

    Returns:
        (rows, 3, H, W) float32.

    """
    row, _ = spec.preprocess(draw_image(size, seed), params)
    return np.repeat(row[None], rows, axis=0)


def sample(output: NDArray[np.float64], count: int, seed: int) -> Samples:
    """Choose values of one output: half of them the largest magnitudes, the others spread over all.

    Args:
        output: Finite values of one row, of any shape.
        count: How many are chosen at most.
        seed: Decides which are the others.

    """
    values = output.ravel()
    magnitudes = np.abs(values)
    largest = float(magnitudes.max())
    if values.size <= count:
        chosen = np.arange(values.size)
    else:
        # In steps that do not depend on the machine; of equal ones the first.
        ranks = np.rint(magnitudes / (largest or 1.0) * 10**DIGITS)
        first = np.argsort(-ranks, kind="stable")[: count - count // 2]
        order = np.argsort(_numbers(values.size, seed, len(_STRENGTHS)), kind="stable")
        others = order[~np.isin(order, first)][: count // 2]
        chosen = np.sort(np.concatenate([first, others]))
    rounded = np.array([_rounded(float(value), largest) for value in values[chosen]])
    return Samples(tuple(chosen.tolist()), rounded)


def measure_probe(probe: Probe, outputs: Mapping[str, Array], rows: int, path: object) -> dict[str, TensorStats]:
    """Measure how far the outputs are from the expected values, beyond what rounding those explains.

    Args:
        probe: The expected values.
        outputs: (rows, ...) arrays by name, each row computed from the same image.
        rows: How often the image was repeated; the row with the largest difference counts.
        path: The file, for messages.

    Raises:
        ArtifactError: The probe names values that the outputs do not have.

    """
    found = {}
    for name, samples in probe.outputs.items():
        values, last = outputs[name], samples.indices[-1]
        if values.shape[:1] != (rows,) or last >= values[0].size:
            raise ArtifactError(
                f"the probe of {path} does not fit the file: it expects a value at index {last} of {name}, "
                f"whose shape is {values.shape}",
                _AGAIN,
            )
        got = values.reshape(rows, -1)[:, list(samples.indices)].astype(np.float64)
        expected = np.broadcast_to(samples.values, got.shape)
        found[name] = measure_tensor(expected, _within_rounding(expected, got))
    return found


def _within_rounding(expected: NDArray[np.float64], got: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values moved towards the expected ones, by as much as those may have been rounded at most."""
    magnitude = np.abs(expected)
    exponent = np.floor(np.log10(np.where(magnitude > 0, magnitude, 1.0)))
    half = np.where(magnitude > 0, 0.5 * 10.0 ** (exponent + 1 - DIGITS), 0.0)
    with np.errstate(invalid="ignore"):  # infinities and NaN stay what they are
        difference = got - expected
        moved: NDArray[np.float64] = expected + np.sign(difference) * np.maximum(np.abs(difference) - half, 0.0)
    return moved


def _rounded(value: float, largest: float) -> float:
    """Return a value with `DIGITS` significant digits, and none that is nothing beside the largest value."""
    digits = DIGITS - 1 - _exponent(value)
    return round(value, min(digits, _PLACES_BELOW - _exponent(largest))) + 0.0  # no negative zero


def _exponent(value: float) -> int:
    return int(f"{value:.{DIGITS - 1}e}".partition("e")[2])


def _numbers(count: int, seed: int, stream: int) -> NDArray[np.uint32]:
    """Return pseudo-random numbers; the function is lowbias32 of https://nullprogram.com/blog/2018/07/31/."""
    start = _mix(_mix(np.array([seed], np.uint32)) + np.uint32(stream))
    return _mix(np.arange(count, dtype=np.uint32) ^ start)


def _mix(numbers: NDArray[np.uint32]) -> NDArray[np.uint32]:
    numbers = (numbers ^ (numbers >> np.uint32(16))) * np.uint32(0x7FEB352D)
    numbers = (numbers ^ (numbers >> np.uint32(15))) * np.uint32(0x846CA68B)
    mixed: NDArray[np.uint32] = numbers ^ (numbers >> np.uint32(16))
    return mixed


def _interpolate(grid: NDArray[np.int32], size: tuple[int, int], cell: int) -> NDArray[np.int32]:
    """Return the (H, W, C) values between the points of a grid, bilinear and rounded down, for points *cell* apart."""
    for axis, side in enumerate(size):
        place = np.arange(side, dtype=np.int32)
        before, after = (np.take(grid, place // cell + step, axis) for step in (0, 1))
        share = (place % cell).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        grid = (before * (cell - share) + after * share) // cell
    return grid


def _parse(content: Mapping[str, Any], names: tuple[str, ...]) -> Probe:
    """Return the probe of a JSON form; ValueError and the like say what is wrong with it."""
    if set(content) != {"version", "seed", "outputs"}:
        raise ValueError(f"it has the fields {', '.join(content)}")
    seed, outputs = content["seed"], content["outputs"]
    if type(seed) is not int or not 0 <= seed < _SEEDS:
        raise ValueError(f"its seed is {seed!r}")
    if not isinstance(outputs, dict) or set(outputs) != set(names):
        listed = ", ".join(outputs) if isinstance(outputs, dict) else type(outputs).__name__
        raise ValueError(f"it is about the outputs {listed}; the network has {', '.join(names)}")
    probe = Probe(seed, {name: _parse_samples(name, outputs[name]) for name in names})
    count = sum(len(samples.indices) for samples in probe.outputs.values())
    if count > MOST_VALUES:
        raise ValueError(f"it has {count} values, {MOST_VALUES} are allowed")
    return probe


def _parse_samples(name: str, content: Any) -> Samples:  # noqa: ANN401
    if not isinstance(content, dict) or set(content) != {"indices", "values"}:
        raise ValueError(f"{name} has no indices and values")
    indices, values = content["indices"], content["values"]
    if not _are(indices, int) or any(index < 0 for index in indices) or not _rise(indices):
        raise ValueError(f"the indices of {name} are no rising numbers from 0 on")
    finite = _are(values, int, float) and all(abs(value) <= _LARGEST for value in values)
    if not finite or len(values) != len(indices):
        raise ValueError(f"the values of {name} are not a finite number for each index")
    return Samples(tuple(indices), np.array(values, np.float64))


def _are(content: object, *kinds: type) -> bool:
    """Tell whether something is a list of numbers, and not empty; True and False are no numbers."""
    return isinstance(content, list) and bool(content) and all(type(entry) in kinds for entry in content)


def _rise(indices: Iterable[int]) -> bool:
    return all(first < second for first, second in pairwise(indices))
