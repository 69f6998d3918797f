"""What a user may set otherwise than a model's defaults, or than what is sealed."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from ..errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..models.spec import ModelSpec


def with_settings(
    spec: ModelSpec,
    params: Any,  # noqa: ANN401
    sealed: Any,  # noqa: ANN401
    changes: Mapping[str, Any],
    foreign: Sequence[str] = (),
) -> Any:  # noqa: ANN401
    """Return the parameters of a postprocessing with changes.

    Args:
        spec: The model.
        params: As they are.
        sealed: As they were when the predictor was made.
        changes: Values by name; None changes nothing.
        foreign: Names of what is asked for and never there.

    Raises:
        UsageError: The model has no such parameter, a value makes no sense, or it is a part of the file.

    """
    given = {name: value for name, value in changes.items() if value is not None}
    if not given and not foreign:
        return params
    known = {field.name for field in fields(params)}
    unknown = [*(name for name in given if name not in known), *foreign]
    if unknown:
        raise UsageError(f"{spec.name} has no setting {', '.join(unknown)}", "Detectors have it; leave it out.")
    try:
        changed = replace(params, **given)
    except (ValueError, TypeError) as error:
        raise UsageError(f"these settings make no sense: {error}", "Thresholds are between 0 and 1.") from error
    _check_sealed(spec, sealed, given)
    return changed


def _check_sealed(spec: ModelSpec, sealed: Any, given: Mapping[str, Any]) -> None:  # noqa: ANN401
    """Refuse what a graph that chooses results itself cannot do: it can only be chosen from."""
    for name in spec.sealed_parameters:
        if name not in given:
            continue
        value, own = given[name], getattr(sealed, name)
        fewer = (name == "score_threshold" and value > own) or (name == "max_detections" and value < own)
        if value != own and not fewer:
            raise UsageError(
                f"{name} {value} cannot be had: the file of the form {spec.form} has {own} in its graph",
                f"Use a file of the form {spec.inner.form} or raw.",
            )
