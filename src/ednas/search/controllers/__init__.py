"""Controllers: what to evaluate next. One ask/tell protocol, one file a controller."""

from ednas.search.controllers.base import (
    Controller,
    ControllerConfig,
    Proposal,
    controller_names,
    register_controller,
    replay,
)
from ednas.search.controllers.evolution import RegularizedEvolution
from ednas.search.controllers.random import RandomSearch

__all__ = [
    "Controller",
    "ControllerConfig",
    "Proposal",
    "RandomSearch",
    "RegularizedEvolution",
    "controller_names",
    "register_controller",
    "replay",
]
