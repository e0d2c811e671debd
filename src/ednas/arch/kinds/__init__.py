"""The kinds of block: one file each, with all that the rest needs to know about it."""

from ednas.arch.kinds.conv import Convolution
from ednas.arch.kinds.fused import FusedInvertedBottleneck
from ednas.arch.kinds.ibn import InvertedBottleneck
from ednas.arch.kinds.uib import UniversalInvertedBottleneck

__all__ = ["Convolution", "FusedInvertedBottleneck", "InvertedBottleneck", "UniversalInvertedBottleneck"]
