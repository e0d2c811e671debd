"""Architectures as data: blocks, named networks, and the search space."""

from ednas.arch.architecture import Architecture
from ednas.arch.block import Block
from ednas.arch.files import load_architecture, read_facts, save_architecture, stored_input_size
from ednas.arch.space import Decision, SearchSpace, SpaceConfig, StageConfig

__all__ = [
    "Architecture",
    "Block",
    "Decision",
    "SearchSpace",
    "SpaceConfig",
    "StageConfig",
    "load_architecture",
    "read_facts",
    "save_architecture",
    "stored_input_size",
]
