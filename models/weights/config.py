"""Reads the configuration of a checkpoint: JSON of bounded size and depth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import WeightsError
from ..regular import special_kind

if TYPE_CHECKING:
    from pathlib import Path

# The published configurations have 1 to 40 KB, some hundred values and at most 10 levels.
_LARGEST_FILE = 4 << 20
_DEEPEST = 50
_MOST_VALUES = 100_000
_HINT = "Mend or remove that file."


def folder_config(folder: Path) -> dict[str, Any]:
    """Return the configuration beside a checkpoint: Hugging Face's config.json, ModelScope's configuration.json.

    ModelScope's mirrors of Hugging Face's models hold both; the second then says little, and wins where both speak.

    Raises:
        WeightsError: A file cannot be read, or is too large or too deep.

    """
    config: dict[str, Any] = {}
    for name in ("config.json", "configuration.json"):
        path = folder / name
        if (kind := special_kind(path)) is not None:
            raise WeightsError(f"{path} is {kind}, not a file", _HINT)
        try:
            if path.stat().st_size > _LARGEST_FILE:
                raise WeightsError(f"{path} is larger than {_LARGEST_FILE >> 20} MiB", _HINT)
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except RecursionError as error:
            raise WeightsError(f"cannot read {path}: it is nested too deeply", _HINT) from error
        except (OSError, ValueError) as error:
            raise WeightsError(f"cannot read {path}: {error}", _HINT) from error
        config |= _plain_mapping(content, path) if isinstance(content, dict) else {}
    return config


def own_config(config: object, path: Path | str) -> dict[str, Any]:
    """Return the configuration that a checkpoint file holds, as JSON text or as containers; {} where there is none.

    Raises:
        WeightsError: It is too large or too deep, or contains itself.

    """
    if isinstance(config, str):
        try:
            config = json.loads(config)
        except RecursionError as error:
            raise WeightsError(f"the config in {path} is nested too deeply", _SAVE_AGAIN) from error
        except ValueError:
            return {}
    return _plain_mapping(config, path) if isinstance(config, Mapping) else {}


_SAVE_AGAIN = "Save the tensors alone: torch.save(model.state_dict(), FILE)"


def _plain_mapping(content: object, path: Path | str) -> dict[str, Any]:
    found = _Plain(path).plain(content, 0)
    return found if isinstance(found, dict) else {}


class _Plain:
    """Copies a configuration, each value once for each place in which it stands.

    Containers of a pickle may stand in many places, so that a small file would become a copy without end.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = path
        self._values = 0

    def plain(self, value: Any, depth: int) -> Any:  # noqa: ANN401
        """Undo jsonplus, which writes a tuple as ``{"__class__": "tuple", "__value__": [...]}``."""
        self._values += 1
        if depth > _DEEPEST or self._values > _MOST_VALUES:
            what = "is nested too deeply" if depth > _DEEPEST else f"has more than {_MOST_VALUES:,} values"
            raise WeightsError(f"the config in {self._path} {what}", _SAVE_AGAIN)
        if isinstance(value, Mapping):
            if "__value__" in value:
                return self.plain(value["__value__"], depth + 1)
            texts = {key: item for key, item in value.items() if isinstance(key, str | int | float)}
            return {str(key): self.plain(item, depth + 1) for key, item in texts.items()}
        if isinstance(value, list | tuple):
            return [self.plain(item, depth + 1) for item in value]
        return value
