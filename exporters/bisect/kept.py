"""What is kept of a search: the operator with what goes into it, to be run again."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from ...errors import ArtifactError

if TYPE_CHECKING:
    from pathlib import Path

    from .pairs import Pair
    from .search import Group

_REPLAY = '''"""Run the operator again on the reference's inputs; exit code 6 if it differs. Needs onnxruntime."""

import sys

if not sys.flags.safe_path:
    del sys.path[0]  # this folder: a numpy.py that somebody put here must not be imported

from pathlib import Path

import numpy as np
import onnxruntime

folder = Path(__file__).parent
values = np.load(folder / "values.npz", allow_pickle=False)
session = onnxruntime.InferenceSession(str(folder / "operator.onnx"), providers=["CPUExecutionProvider"])
feed = {entry.name: values[f"input/{entry.name}"] for entry in session.get_inputs()}
names = [entry.name for entry in session.get_outputs()]
worst = 0.0
for name, value in zip(names, session.run(names, feed)):
    error = float(abs(value.astype(float) - values[f"output/{name}"].astype(float)).max())
    worst = worst if error <= worst else error  # also where it is not a number
    print(f"{name}: differs by {error:.3g}, limit {float(values['limit']):.3g}")
sys.exit(0 if worst <= float(values["limit"]) else 6)
'''


def keep_group(output: Path, pair: Pair, group: Group) -> Path:
    """Write operators as a file of their own, their inputs, and what the other leg makes of them.

    Args:
        output: A folder of the time is made in it.
        pair: The legs.
        group: What to keep.

    Returns:
        The folder, with operator.onnx, values.npz and replay.py.

    """
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    names = (f"{stamp}-{number}" if number else stamp for number in itertools.count())
    folder = next(output / name for name in names if not (output / name).exists())
    # What can be run again is the file; it is held against the values of the other leg.
    other = pair.reference if pair.candidate is pair.file else pair.candidate
    wanted = [name for name in group.values if name not in group.given]
    model = pair.file.part(group.given, wanted)
    (expected,) = other.run([group.given], wanted)
    arrays = {f"output/{name}": value for name, value in expected.items()}
    arrays |= {f"input/{value.name}": group.given[value.name] for value in model.graph.input}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "operator.onnx").write_bytes(model.SerializeToString(deterministic=True))
        (folder / "replay.py").write_text(_REPLAY, encoding="utf-8")
        np.savez_compressed(folder / "values.npz", allow_pickle=False, limit=np.array(group.introduced.limit), **arrays)
    except OSError as error:
        raise ArtifactError(f"cannot write {folder}: {error.strerror}", "Choose another place with -o.") from error
    return folder
