"""Test tiers: a test that names no other tier is `unit`."""

import pytest

TIERS = ("train", "dist", "sandbox")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "packages/sandbox" in item.path.as_posix():
            item.add_marker(pytest.mark.sandbox)
        elif not any(item.get_closest_marker(tier) for tier in TIERS):
            item.add_marker(pytest.mark.unit)
