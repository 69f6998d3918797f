"""The versions of what computes results."""

import subprocess
import sys

import numpy as np

import cvport
from cvport.runtimes.versions import library_versions


def test_versions_are_those_of_the_libraries():
    found = library_versions()
    assert found["cvport"] == cvport.__version__
    assert found["numpy"] == np.__version__


def test_nothing_heavy_is_imported_for_it():
    code = (
        "import sys; from cvport.runtimes.versions import library_versions; "
        "print(sorted(library_versions())); print({'numpy', 'cv2', 'torch', 'PIL.Image'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['cvport', 'pillow']", "set()"]
