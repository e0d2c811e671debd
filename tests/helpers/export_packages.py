"""What the tests of the export need to know of the packages that are installed."""

from __future__ import annotations

from importlib.util import find_spec

NEEDS_EXPORT = 'needs litert-torch and ai-edge-quantizer: pip install "ednas[export]"'


def can_convert() -> bool:
    """Whether the packages are there; importing them, to see, takes seconds."""
    return all(find_spec(package) for package in ("litert_torch", "ai_edge_quantizer", "ai_edge_litert"))
