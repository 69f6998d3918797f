"""A folder of a fuzzing study: the inputs that were found to be worth keeping, the counts, and what was found."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from pathlib import Path

from fuzz.judging import Finding, Target, judge

_EVERY = 500


class Study:
    """One target in a folder: FOLDER/corpus/NAME, FOLDER/findings/NAME, FOLDER/NAME.json.

    The counts go on from where the last run ended.

    Args:
        name: Of the target.
        target: What is run.
        folder: The folder of the study.

    """

    def __init__(self, name: str, target: Target, folder: Path) -> None:
        self.target = target
        self.corpus, self.findings = folder / "corpus" / name, folder / "findings" / name
        for place in (self.corpus, self.findings):
            place.mkdir(parents=True, exist_ok=True)
        self._place = folder / f"{name}.json"
        self.inputs, self.seconds, self.found = 0, 0.0, {}
        with suppress(OSError, ValueError):
            kept = json.loads(self._place.read_text())
            self.inputs, self.seconds, self.found = kept["inputs"], kept["seconds"], kept["found"]
        self._since = time.monotonic()

    def try_input(self, data: bytes) -> None:
        """Run one input, count it, and keep it where it shows something new."""
        finding = judge(self.target, data)
        if finding is not None:
            self.keep(finding, data)
        self.inputs += 1
        if self.inputs % _EVERY == 0:
            self.save()

    def keep(self, finding: Finding, data: bytes) -> None:
        """Count a finding; the smallest input of each is kept, with the traceback beside it."""
        path = self.findings / hashlib.sha256(finding.key.encode()).hexdigest()[:12]
        self.found[finding.key] = self.found.get(finding.key, 0) + 1
        if not path.exists() or len(data) < path.stat().st_size:
            path.write_bytes(data)
            path.with_suffix(".txt").write_text(f"{finding.key}\n{finding.text}", errors="backslashreplace")

    def save(self) -> None:
        """Write the counts."""
        now = time.monotonic()
        self.seconds, self._since = self.seconds + now - self._since, now
        content = {"inputs": self.inputs, "seconds": round(self.seconds, 1), "found": self.found}
        partial = self._place.with_suffix(".partial")
        partial.write_text(json.dumps(content, indent=1) + "\n")
        partial.replace(self._place)
