"""Networks: what an architecture computes."""

from ednas.nn.network import MultiTaskNetwork

__all__ = ["MultiTaskNetwork"]
