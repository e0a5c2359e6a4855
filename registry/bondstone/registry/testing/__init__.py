"""Suites for whoever writes a store: what is promised of it, as tests. Needs pytest; the library itself never imports this."""

import pytest

pytest.register_assert_rewrite("bondstone.registry.testing.store_suite")

from bondstone.registry.testing.store_suite import StoreSuite  # noqa: E402 -- after its asserts are to be rewritten

__all__ = ["StoreSuite"]
