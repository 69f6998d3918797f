"""One run of a target under atheris, in a process of its own: ``python -m fuzz.guided NAME FOLDER [OPTION ..]``.

libFuzzer ends the process when the time is over, and when an input hangs in C code or takes all memory. That input is
then in the folder of findings as ``timeout-..``, ``oom-..`` or ``crash-..``.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import atheris

from fuzz.judging import limit_memory
from fuzz.study import Study
from fuzz.targets import get_target

# Every so often libFuzzer changes bytes as it likes.
_PLAIN = 0.1


def main(name: str, folder: str, *options: str) -> None:
    """Fuzz one target."""
    # What the seeds do not import is not looked at: that is little.
    with atheris.instrument_imports(include=["cvport"]):
        target = get_target(name)
        study = Study(name, target, Path(folder))
        for index, seed in enumerate(target.seeds()):
            study.try_input(seed)
            (study.corpus / f"seed-{index:02d}").write_bytes(seed)
    limit_memory()

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        changed = atheris.Mutate(data, most) if rng.random() < _PLAIN else target.mutate(data, rng)
        return changed[:most]

    paths = (f"-artifact_prefix={study.findings}/", str(study.corpus))
    atheris.Setup([sys.argv[0], *options, *paths], study.try_input, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
