"""How the space is explored: controllers, evaluators, executors, the store and the loop.

Names that need torch (a configuration holds a training's) are imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ednas.hw.quantities import QUANTITIES, Quantity
from ednas.search.bank import Bank, merge_banks
from ednas.search.controllers import (
    Controller,
    ControllerConfig,
    Proposal,
    RandomSearch,
    RegularizedEvolution,
    controller_names,
    register_controller,
)
from ednas.search.evaluators import Evaluation, Evaluator
from ednas.search.executors import Executor, InlineExecutor, ProcessExecutor, RayExecutor
from ednas.search.loop import Search
from ednas.search.objective import CostModel, Objective, RewardConfig, check_feasible, lowest
from ednas.search.progress import SearchCallback, SearchProgress
from ednas.search.results import SearchResult, best, pareto, summarise, write_results
from ednas.search.study import Study, StudyReader
from ednas.search.trial import Trial, TrialState

if TYPE_CHECKING:
    from ednas.search.beginning import DeviceCost
    from ednas.search.check import Check, CheckOptions, check_evaluators
    from ednas.search.config import SearchConfig, load_search_config
    from ednas.search.evaluators.proxy import ProxyEvaluator
    from ednas.search.evaluators.setting import EvaluatorConfig, Setting, evaluator_names, register_evaluator
    from ednas.search.exchange import export_study
    from ednas.search.filtering import FilterConfig
    from ednas.search.run import run_search

__all__ = [
    "Bank",
    "Check",
    "CheckOptions",
    "Controller",
    "ControllerConfig",
    "CostModel",
    "DeviceCost",
    "Evaluation",
    "Evaluator",
    "EvaluatorConfig",
    "Executor",
    "FilterConfig",
    "InlineExecutor",
    "Objective",
    "ProcessExecutor",
    "Proposal",
    "ProxyEvaluator",
    "QUANTITIES",
    "Quantity",
    "RandomSearch",
    "RayExecutor",
    "RegularizedEvolution",
    "RewardConfig",
    "Search",
    "SearchCallback",
    "SearchConfig",
    "SearchProgress",
    "SearchResult",
    "Setting",
    "Study",
    "StudyReader",
    "Trial",
    "TrialState",
    "best",
    "check_evaluators",
    "check_feasible",
    "controller_names",
    "evaluator_names",
    "export_study",
    "load_search_config",
    "lowest",
    "merge_banks",
    "pareto",
    "register_controller",
    "register_evaluator",
    "run_search",
    "summarise",
    "write_results",
]

_LAZY = {
    "Check": "ednas.search.check",
    "CheckOptions": "ednas.search.check",
    "DeviceCost": "ednas.search.beginning",
    "EvaluatorConfig": "ednas.search.evaluators.setting",
    "FilterConfig": "ednas.search.filtering",
    "ProxyEvaluator": "ednas.search.evaluators.proxy",
    "SearchConfig": "ednas.search.config",
    "Setting": "ednas.search.evaluators.setting",
    "check_evaluators": "ednas.search.check",
    "evaluator_names": "ednas.search.evaluators.setting",
    "export_study": "ednas.search.exchange",
    "load_search_config": "ednas.search.config",
    "register_evaluator": "ednas.search.evaluators.setting",
    "run_search": "ednas.search.run",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
