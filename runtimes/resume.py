"""Runs that go on where they stopped: what a run was, and how far it came, in a file beside its results."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..errors import InputError, UsageError
from .sinks.output import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from .predictor import Predictor
    from .sinks.output import OutFile
    from .sources.base import Item, Source

_VERSION = 1
_NOT_OURS = "Run without --resume to begin anew."

_log = logging.getLogger(__name__)


class Progress:
    """How far a run came: items that are done, and the bytes of its results.

    Args:
        place: Path of the results.
        run: What decides results, JSON-able: another run is refused.

    """

    def __init__(self, place: Path, run: Mapping[str, Any]) -> None:
        self._results = place
        self._place = place.with_name(f"{place.name}.run.json")
        # One name for all processes: what a killed run left behind is used up by the next.
        self._partial = place.with_name(f".{self._place.name}.partial")
        self._told = False
        self._run: dict[str, Any] = json.loads(json.dumps(run))
        self.done = 0
        self.size = 0
        self.last = ""

    def load(self) -> bool:
        """Read how far the run came; return whether there is something to go on with.

        Raises:
            UsageError: The results there are of another run.
            InputError: The file beside them cannot be read, or they are not as the run left them.

        """
        there, text = self._there(), self._noted()
        if not there or text is None:
            return False
        try:
            content = json.loads(text)
            version, run = content["schema_version"], content["run"]
            done, size, last = int(content["done"]), int(content["size"]), str(content["last"])
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"cannot read {self._place}: {error}", _NOT_OURS) from error
        other = [name for name in sorted({*run, *self._run}) if run.get(name) != self._run.get(name)]
        if version != _VERSION or other:
            what = f"with another {', '.join(other)}" if other else "by another version"
            raise UsageError(f"the results beside {self._place.name} were made {what}", _NOT_OURS)
        if size > there or (size and self._byte(size - 1) != b"\n"):
            raise InputError(f"{self._results} was changed since {self._place.name} was written", _NOT_OURS)
        self.done, self.size, self.last = done, size, last
        return True

    def forget(self) -> None:
        """Remove what was written down: the results are about to be made anew."""
        with suppress(OSError):
            self._place.unlink(missing_ok=True)

    def _there(self) -> int:
        """Return the bytes of the results; a run that was begun anew and ended at once leaves none."""
        try:
            return self._results.stat().st_size
        except OSError:
            return 0

    def _noted(self) -> str | None:
        try:
            return self._place.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read {self._place}: {error}", _NOT_OURS) from error

    def _byte(self, place: int) -> bytes:
        """Return one byte of the results."""
        try:
            with self._results.open("rb") as file:
                file.seek(place)
                return file.read(1)
        except OSError as error:
            raise InputError(f"cannot read {self._results}: {error.strerror}", _NOT_OURS) from error

    def note(self, item: Item, out: OutFile) -> None:
        """Write down that an item is done; the run goes on where that cannot be written.

        From the first result on that could not be written nothing is noted, so that it is made again.
        """
        if not out.intact:
            return
        self.done, self.size, self.last = self.done + 1, out.size, item.name
        content = {"schema_version": _VERSION, "run": self._run}
        state = {"done": self.done, "size": self.size, "last": self.last}
        try:
            write_whole(self._place, json.dumps({**content, **state}).encode(), self._partial)
        except InputError as error:
            if not self._told:
                _log.warning("%s; --resume would make results from here on again", error.message)
            self._told = True


class Rest:
    """A source without the items that are done; they are not decoded where they can be read in any order.

    Args:
        source: All items.
        done: Number of the items that are done.
        last: Name of the last of them.

    """

    def __init__(self, source: Source, done: int, last: str) -> None:
        self._source = source
        self._done = done
        self._last = last

    @property
    def total(self) -> int | None:
        """Number of items that are left."""
        total = self._source.total
        return None if total is None else max(0, total - self._done)

    @property
    def notes(self) -> Sequence[str]:
        """Those of the source, and how many items are done."""
        return [*self._source.notes, f"resumed: {self._done} done before"]

    def __iter__(self) -> Iterator[Item]:
        number = 0
        for number, item in enumerate(self._source, 1):
            if number > self._done:
                yield item
            elif number == self._done and item.name != self._last:
                self._refuse(item.name)
        if number < self._done:
            self._refuse("nothing")

    def _refuse(self, found: str) -> None:
        raise UsageError(f"the sources have changed: {found} stands where {self._last} was", _NOT_OURS)


def run_of(predictor: Predictor) -> dict[str, Any]:
    """Return what of a predictor decides its results, by names for people."""
    seal, settings = predictor.seal, predictor.postprocess_params
    return {
        "model": predictor.spec.name,
        "file": None if seal is None else seal.digest,
        "weights": None if seal is None else seal.weights.get("sha256"),
        "backend": predictor.backend.name,
        "precision": predictor.backend.precision,
        "settings": asdict(settings),
        "classes": None if predictor.classes is None else list(predictor.classes),
    }
