"""How hard hypothesis tries: fewer examples where slow tests are left out; see ``conftest.py``."""

from __future__ import annotations

from hypothesis import settings

_USUAL = 100
"""Hypothesis's own number of examples, by which ``count`` is chosen; the full profile tries half of that."""


def examples(count: int) -> int:
    """As many of ``count`` examples as the profile tries of the usual number, and a few at least."""
    return max(count * settings.default.max_examples // _USUAL, min(count, 5))
