"""Networks: what an architecture computes."""

from ednas.nn.network import MultiTaskNetwork
from ednas.nn.parts import register_backbone, register_decoder

__all__ = ["MultiTaskNetwork", "register_backbone", "register_decoder"]
