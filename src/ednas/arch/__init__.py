"""Architectures as data: blocks, named networks, and the search space."""

from ednas.arch.architecture import Architecture
from ednas.arch.block import Block, make_block, number, register_kind
from ednas.arch.files import load_architecture, read_facts, save_architecture, stored_input_size
from ednas.arch.kinds import Convolution, FusedInvertedBottleneck, InvertedBottleneck, UniversalInvertedBottleneck
from ednas.arch.space import Decision, SearchSpace, SpaceConfig, StageConfig

__all__ = [
    "Architecture",
    "Block",
    "Convolution",
    "Decision",
    "FusedInvertedBottleneck",
    "InvertedBottleneck",
    "SearchSpace",
    "SpaceConfig",
    "StageConfig",
    "UniversalInvertedBottleneck",
    "load_architecture",
    "make_block",
    "number",
    "read_facts",
    "register_kind",
    "save_architecture",
    "stored_input_size",
]
