"""Results that were stored, ours or another program's, by the image that they are of."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError, UsageError
from ...models.lazy import resolve
from ..kinds import registry
from ..plain_json import check_text, json_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ...models.results import Result
    from ...models.spec import ModelSpec
    from ..sources.base import Item

ENDINGS = (".json", ".jsonl", ".ndjson", ".csv")
_LINES = (".jsonl", ".ndjson")


class StoredResults:
    """What a file says about images: results of `cvrun` in JSON, or what the kind of result reads besides.

    Args:
        path: The file.
        spec: The model that they are compared with.
        labels: Its class names.

    Attributes:
        made_with: Versions and backend that the file says it was made with; empty where it does not.

    Raises:
        InputError: The file cannot be read, or holds no results of that kind.
        UsageError: Results of this kind cannot be stored.

    """

    def __init__(self, path: Path, spec: ModelSpec, labels: Sequence[str]) -> None:
        self._path, self._spec, self._labels = path, spec, labels
        self._kind = registry.get_kind(spec.kind)
        if self._kind.read is None:
            raise UsageError(f"results of the kind {spec.kind} cannot be read from a file", "Compare two backends.")
        self.made_with: dict[str, str] = {}
        self._foreign: Any = None
        self._rows = {str(row["source"]): row for row in self._read()}
        self._by_last = {PurePath(name).name: row for name, row in self._rows.items()}

    def of(self, item: Item) -> Result:
        """Return the result of an image: by its name, else by the last part of that.

        Raises:
            InputError: There is none, or it is of another kind.

        """
        if self._foreign is not None:
            if not self._foreign.has(item):
                raise self._missing(item)
            found: Result = self._foreign.of(item)
            return found
        row = self._rows.get(item.name) or self._by_last.get(PurePath(item.name).name)
        if row is None:
            raise self._missing(item)
        if "error" in row:
            told = row["error"].get("message", "") if isinstance(row["error"], dict) else row["error"]
            raise InputError(f"{self._path} has no result of {item.name}: {told!s:.200}", "Look there.")
        try:
            assert self._kind.read is not None
            with np.errstate(over="ignore"):
                result: Result = self._kind.read(row, self._spec, self._labels)
            _check_values(result)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, InputError) as error:
            raise InputError(
                f"{self._path} holds no {self._spec.kind} of {item.name}: {type(error).__name__} {error}",
                f"Give results of a model of {self._spec.kind}.",
            ) from error
        return result

    def _missing(self, item: Item) -> InputError:
        return InputError(f"{item.name} is not among the results of {self._path}", "Run both on the same images.")

    def _read(self) -> list[Mapping[str, Any]]:
        """Return the rows of our own forms; other programs' are left to the kind."""
        if self._path.suffix.lower() == ".csv":
            return self._of_others()
        try:
            text = self._path.read_text(encoding="utf-8-sig")
            if self._path.suffix.lower() in _LINES:
                return list(_checked(json.loads(line) for line in json_lines(text)))
            content = json.loads(text)
        except FileNotFoundError as error:
            raise InputError(f"no such file: {self._path}", "Check the path.") from error
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"cannot read {self._path}: {error}", "Give results of cvrun: json, jsonl.") from error
        if not isinstance(content, dict) or "results" not in content:
            return self._of_others()
        if not isinstance(content["results"], list) or not isinstance(content.get("errors", []), list):
            raise InputError(f"{self._path} holds no list of results", "Give results of cvrun: json, jsonl.")
        told = ("model", "backend", "device")
        self.made_with = {name: str(content[name]) for name in told if name in content}
        versions = content.get("versions")
        self.made_with |= {str(k): str(v) for k, v in versions.items()} if isinstance(versions, dict) else {}
        errors = [{**row, "error": row} for row in content.get("errors", []) if isinstance(row, dict)]
        return list(_checked(iter([*content["results"], *errors])))

    def _of_others(self) -> list[Mapping[str, Any]]:
        if not self._kind.stored:
            raise InputError(f"{self._path} holds no results of cvrun", "Give its --format json or jsonl.")
        self._foreign = resolve(self._kind.stored, registry.__package__ or "")(self._path)
        return []


def _check_values(result: Any) -> None:  # noqa: ANN401
    """Refuse, with a ValueError, a result with numbers that are not finite, or texts that cannot be written."""
    values = (getattr(result, entry.name) for entry in fields(result))
    if not all(np.isfinite(value).all() for value in values if isinstance(value, np.ndarray)):
        raise ValueError("a number is not finite")
    check_text("".join(getattr(result, "labels", ())))


def _checked(rows: Iterator[Any]) -> Iterator[Mapping[str, Any]]:
    for row in rows:
        if not isinstance(row, dict) or "source" not in row:
            raise InputError("a result without its source", "Give results of cvrun: json, jsonl.")
        yield row
