"""The table of kinds of results."""

import pytest

from cvport.errors import UsageError
from cvport.exporters.gate.kinds.registry import get_gate_kind
from cvport.runtimes.kinds.registry import KINDS, get_kind


@pytest.mark.parametrize("name", KINDS)
def test_names_lead_to_their_kinds(name):
    assert get_kind(name).name == name


@pytest.mark.parametrize("get", [get_kind, get_gate_kind])
def test_an_unknown_kind_is_named(get):
    with pytest.raises(UsageError, match=r"this version of cvport .* kind .*'poems'"):
        get("poems")
