"""The proxy: a short training, judged on a part of train that is held out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from helpers.small_searches import small_search

from ednas.arch import load_architecture
from ednas.data.loader import BatchLoader
from ednas.exceptions import DataError
from ednas.search.evaluators.proxy import ProxyEvaluator
from ednas.seeding import derive_seed
from ednas.training import evaluate, fit, prepare_judgement, save_checkpoint
from ednas.training.step import TrainingStep


@pytest.fixture(autouse=True)
def _small(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    torch.set_num_threads(1)


def test_a_candidate_is_judged_on_a_part_of_train_that_is_held_out() -> None:
    training = small_search().train_config(load_architecture("base")).model_copy(update={"seed": 4})
    evaluation = ProxyEvaluator(training, device="cpu").evaluate(load_architecture("base"), seed=4)
    model, train_split, held_out = prepare_judgement(training)
    loader = BatchLoader(train_split, 2, derive_seed(4, "batches"), training.recipe.augment, sorted(model.targets))
    fit(model.network, model.tasks, loader, training.recipe, device="cpu")
    reference = evaluate(model, held_out)
    assert evaluation.tasks == reference["tasks"]
    assert evaluation.higher_is_better == reference["higher_is_better"]


@pytest.mark.slow
def test_candidates_learn_from_a_teacher(tmp_path: Path) -> None:
    training = small_search().train_config(load_architecture("base"))
    teacher = save_checkpoint(tmp_path / "teacher", prepare_judgement(training)[0])
    recipe = training.recipe.model_copy(update={"teacher": str(teacher), "teacher_weight": 1.0})
    plain, taught = (
        ProxyEvaluator(each, device="cpu").evaluate(load_architecture("base"), seed=4)
        for each in (training, training.model_copy(update={"recipe": recipe}))
    )
    assert plain.tasks != taught.tasks


@pytest.mark.parametrize("fits", [2, 1])
def test_for_want_of_gpu_memory_batches_pass_in_parts(monkeypatch: pytest.MonkeyPatch, fits: int) -> None:
    """As on a GPU that has room for two images at a time, and on one that has not even that."""
    training = small_search().train_config(load_architecture("base"))
    recipe = training.recipe.model_copy(update={"batch_size": 4})
    training = training.model_copy(update={"seed": 4, "recipe": recipe})
    losses, seen = TrainingStep._losses, []

    def limited(step: TrainingStep, batch: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        seen.append(len(batch["image"]))
        if seen[-1] > fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return losses(step, batch)

    monkeypatch.setattr(TrainingStep, "_losses", limited)
    evaluator = ProxyEvaluator(training, device="cpu")
    if fits == 1:
        with pytest.raises(torch.OutOfMemoryError):
            evaluator.evaluate(load_architecture("base"), seed=4)
        assert seen == [4, 2]
        return
    evaluation = evaluator.evaluate(load_architecture("base"), seed=4)
    assert seen == [4, 2, 2, 2, 2]
    assert evaluation.remark.endswith(
        "for want of GPU memory, batches of 4 were trained in 2 parts: batch normalisation saw 2 images at a time"
    )
    model, train_split, held_out = prepare_judgement(training)
    loader = BatchLoader(train_split, 4, derive_seed(4, "batches"), training.recipe.augment, sorted(model.targets))
    fit(model.network, model.tasks, loader, training.recipe, device="cpu", parts=2)
    assert evaluation.tasks == evaluate(model, held_out)["tasks"]


def test_a_file_that_is_not_on_this_machine_is_no_candidates_fault(tmp_path: Path) -> None:
    training = small_search().train_config(load_architecture("base"))
    plugin = tmp_path / "mine.py"
    training = training.model_copy(update={"plugins": (str(plugin),)})
    with pytest.raises(DataError, match=r"mine\.py: not on this machine; every machine needs it at the same place"):
        ProxyEvaluator(training, device="cpu").evaluate(load_architecture("base"), seed=4)
