"""Five faults in each of the models: the search names each. The same at length is `make mutation`."""

from __future__ import annotations

import pytest

from mutation.searches import FAULTS, Searched, search_clean, search_once
from mutation.subjects import SUBJECTS


@pytest.mark.parametrize("name", ["yolox-nano", "nanodet", "hand_static", "landmarks68", "emotion"])
def test_faults_are_named(name):
    searched = Searched(SUBJECTS[name](0))
    assert set(search_clean(searched)["clean"]) == {"same"}
    kinds = set()
    for number in range(len(FAULTS) + 1):
        found = search_once(searched, number)
        kinds.add(found["fault"])
        assert found["result"] != "missed", found
        assert found.get("file", found)["result"] != "missed", found
    assert len(kinds) >= 4, "not every model has every attribute"
