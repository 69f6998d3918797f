"""What the tests of the targets share."""

from __future__ import annotations

import pytest

from cvport.exporters.targets.graph import read_graph
from helpers.small_files import write_file


@pytest.fixture
def read(tmp_path):
    """Write a small file and read its graph."""

    def read(nodes, **options):
        return read_graph(write_file(tmp_path / "small.onnx", nodes, **options))

    return read
