"""The table of targets."""

from __future__ import annotations

import pytest

from cvport.errors import UsageError
from cvport.exporters.targets import registry
from cvport.exporters.targets.tables import read_table
from cvport.models.lazy import resolve


def test_the_targets():
    assert [target.name for target in registry.TARGETS] == [
        "cann-8.5",
        "cann-9.0",
        "cann-9.1",
        "cann-9.2-beta.1",
        "cann-master",
        "onnxruntime-1.19",
        "opencv",
        "openvino",
    ]
    names = [name for target in registry.TARGETS for name in (target.name, *target.aliases)]
    assert len(set(names)) == len(names)


def test_every_row_has_a_checker_and_a_release_that_its_table_has():
    for target in registry.TARGETS:
        assert callable(resolve(target.checker, registry.__package__))
        assert target.summary
        if target.release:
            table = "cann.json" if target.name.startswith("cann") else "onnxruntime.json"
            assert target.release in read_table(table)["releases"]


@pytest.mark.parametrize(
    ("alias", "name"),
    [("cann-9.0.1", "cann-9.0"), ("cann-9.0.0", "cann-9.0"), ("cann-9.2.0-beta.1", "cann-9.2-beta.1")],
)
def test_full_versions_are_names_too(alias, name):
    assert registry.get_target(alias).name == name


def test_releases_that_share_a_target_are_read_alike():
    """cann-9.0 is 9.0.0 and 9.0.1: no operator and no trap begins or ends between the two."""
    table = read_table("cann.json")
    assert not any("9.0.1" in since for since in table["operators"].values())
    for trap in table["traps"]:
        first, last = trap["releases"]
        assert first != "9.0.1"
        assert last != "9.0.0"


def test_other_names_are_refused():
    with pytest.raises(UsageError, match="there is no target 'cann-9'") as raised:
        registry.get_target("cann-9")
    assert "Did you mean 'cann-9." in raised.value.hint
