"""Options that commands share, in groups, and what their values mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...errors import InputError, UsageError
from ...models.spec import VariantOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def option_group(*options: Decorator) -> Decorator:
    """Return a decorator that adds several options, in the order in which the help lists them."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


variant_options = option_group(
    click.option("--input-size", metavar="H[,W]", help="Network input size in pixels."),
    click.option(
        "--preprocess", metavar="NAME", help="Preprocessing convention of yolox: easycv, megvii or megvii-legacy."
    ),
    click.option(
        "--activation", metavar="NAME", help="Activation function of yolox: silu or relu; weights do not tell it."
    ),
    click.option(
        "--labels",
        type=click.Path(path_type=Path),
        metavar="FILE|NAME",
        help="Class names: a text file with one name per line, or the name of a list of the model.",
    ),
)
download_options = option_group(
    click.option("--offline", is_flag=True, help="Never download weights."),
    click.option("--cache-dir", type=click.Path(path_type=Path), help="Folder of downloaded weights."),
)
verbosity_options = option_group(
    click.option("-q", "--quiet", is_flag=True, help="Print nothing on stderr but errors."),
    click.option("-v", "--verbose", is_flag=True, help="Print more on stderr."),
)


def weights_option(note: str = "") -> Decorator:
    """Return the option of the weights; *note* says where they are needed."""
    known = "a file, folder, ms:ORG/MODEL, hf:ORG/MODEL, sample or seeded[:N]"
    return click.option("--weights", metavar="W", help=f"Weights: {known}{note}.")


def take_variant_options(options: dict[str, Any]) -> VariantOptions:
    """Take the values of `variant_options` out of a command's options, and return them in their parsed form.

    Raises:
        UsageError: A size that is not H or H,W.
        InputError: A label file that cannot be read.

    """
    input_size, labels = options.pop("input_size"), options.pop("labels")
    return VariantOptions(
        None if input_size is None else _parse_size(input_size),
        options.pop("preprocess"),
        options.pop("activation"),
        _choose_labels(labels),
    )


def _parse_size(text: str) -> tuple[int, int]:
    sides = text.replace("x", ",").split(",")
    if len(sides) not in (1, 2) or not all(side.strip().isdecimal() for side in sides):
        raise UsageError(f"{text!r} is not an input size", "Give H or H,W in pixels, for example 416 or 320,640.")
    return int(sides[0]), int(sides[-1])


def _choose_labels(value: Path | None) -> tuple[str, ...] | str | None:
    """Return the lines of a label file; what is no file and has no ending may name a list of the model."""
    if value is None or (not value.exists() and not value.suffix and len(value.parts) == 1):
        return None if value is None else str(value)
    return _read_labels(value)


def _read_labels(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot read the labels {path}: {error}", "Give a UTF-8 text file with one label per line."
        ) from error
    labels = tuple(line.strip() for line in lines if line.strip())
    if not labels:
        raise InputError(f"no labels in {path}", "Give one label per line.")
    return labels
