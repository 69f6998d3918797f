"""What a run says on stderr besides its errors, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kinds.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ...models.spec import ModelSpec
    from ..chain import Chain
    from ..pipeline import Summary
    from ..predictor import Predictor
    from ..sinks.base import RunInfo

LANGUAGES = {"en": "English", "zh": "Chinese"}
# Settings under whose wrong value a model finds nothing, the more likely first, and the values that a model offers.
_CHOICES: dict[str, Callable[[ModelSpec], Sequence[str]]] = {
    "preprocess": lambda spec: spec.conventions,
    "activation": lambda spec: spec.activations,
}


def header(asked: str, predictor: Predictor | Chain, info: RunInfo) -> list[str]:
    """Return the lines that come before the first result.

    Args:
        asked: The backend as the user named it.
        predictor: What runs.
        info: What it says about itself.

    """
    first = [f"backend: {info.backend} on {info.device}"] if asked == "auto" else []
    if predictor.assumed:
        first.append(f"assumed: {', '.join(predictor.assumed)}")
    lines = ["; ".join(first)] if first else []
    if info.settings.get("simulated"):
        lines.append("note: the NPU is simulated; times and rounding are not an Ascend device's")
    if info.untrained:
        lines.append("note: these weights are untrained; the results mean nothing")
    return lines


def untranslated(lang: str, names: Mapping[str, str], labels: Sequence[str]) -> list[str]:
    """Return a line that says which labels stay as they are, if a language was chosen that lacks them."""
    without = [label for label in labels if label not in names]
    if lang == "en" or not without:
        return []
    if len(without) == len(labels):
        which = "no label has a name"
    else:
        which = f"{len(without)} of {len(labels)} labels {'has' if len(without) == 1 else 'have'} no name"
    return [f"note: {which} in {LANGUAGES[lang]}: {', '.join(_some(without))}"]


def _some(names: Sequence[str], most: int = 5) -> list[str]:
    return [*names[:most], *(["..."] if len(names) > most else [])]


def summary_line(summary: Summary) -> str:
    """Return the figures of a run of several images in one line."""
    parts = [counted(summary.images, "image"), counted(summary.errors, "error")]
    if summary.mean_ms is not None:
        spent = " + ".join(f"{ms:.1f}" for ms in summary.mean_ms)
        parts.append(f"{spent} ms per image (preprocess + network + postprocess)")
    if summary.rate is not None:
        parts.append(f"{summary.rate:.1f} images/s")
    if 0 < summary.timed < summary.images:
        parts.append("warm-up left out")
    return ", ".join(parts)


def empty_hint(predictor: Predictor | Chain) -> list[str]:
    """Return a line that names what to try where nothing was found under an assumption."""
    tries = [option for name in _CHOICES for option in _alternatives(predictor, name)]
    if not tries:
        return []
    lead = "export it again with" if predictor.seal is not None else "try"
    *others, last = tries
    choice = f"{', '.join(others)} or {last}" if others else last
    return [f"hint: nothing was found in any image under what was assumed; {lead} {choice}"]


def _alternatives(predictor: Predictor | Chain, name: str) -> list[str]:
    """Return the options that choose otherwise than what was assumed for a setting."""
    # An assumption starts with the setting and its value.
    assumed = [text.split()[1] for text in predictor.assumed if text.startswith(f"{name} ")]
    return [f"--{name} {value}" for value in _CHOICES[name](predictor.spec) if assumed and value not in assumed]
