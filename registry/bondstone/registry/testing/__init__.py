"""Suites for whoever writes a store or a key provider: what is promised, as tests. Needs pytest; the library never imports this."""

import pytest

for _name in ("store_suite", "key_provider_suite"):
    pytest.register_assert_rewrite(f"bondstone.registry.testing.{_name}")

from bondstone.registry.testing.key_provider_suite import KeyProviderSuite  # noqa: E402 -- after its asserts are to be rewritten
from bondstone.registry.testing.store_suite import StoreSuite  # noqa: E402

__all__ = ["KeyProviderSuite", "StoreSuite"]
