"""Weight sharing: one supernet learns once, and every candidate is cut out of it and measured without training.

Its batch statistics are measured anew before it is judged (:mod:`ednas.training.supernet`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from ednas.arch import Architecture
from ednas.config import StrictModel
from ednas.files import read_json, write_json
from ednas.search.evaluators.base import CurvePoint, Evaluation
from ednas.search.evaluators.setting import Setting, register_evaluator
from ednas.search.sampling import draw
from ednas.seeding import derive_seed

if TYPE_CHECKING:
    from ednas.training.callbacks import StepReport
    from ednas.training.config import TrainConfig


_ENDS = 2
"""The smallest and the largest network, which stand first in the file of those that were drawn."""


class SupernetOptions(StrictModel):
    """How a supernet is trained and read.

    Attributes:
        steps: Steps of the optimizer.
        at_once: Networks that a step trains, each on a batch of the recipe's size.
        networks: How many different networks take turns.
        sandwich: Whether those of the most and of the fewest multiply-accumulates are trained in every step, and the
            others take turns in what is left of it (Yu and Huang, 2019). With fewer than three at once they do not.
        calibration: Training images by which a network's batch statistics are measured.
        folder: Of a supernet that was trained before, for any device; None = one is trained.
    """

    steps: int = Field(default=1500, ge=1)
    at_once: int = Field(default=4, ge=1)
    networks: int = Field(default=1000, ge=1)
    sandwich: bool = True
    calibration: int = Field(default=256, ge=2)
    folder: str | None = None


@register_evaluator("supernet", SupernetOptions)
def make_supernet(setting: Setting, options: SupernetOptions) -> SupernetEvaluator:
    """Train the supernet, unless the folder has it already or one is given."""
    from ednas.training.supernet.file import TrainedSupernet
    from ednas.training.supernet.train import train_supernet

    if options.folder is not None:
        TrainedSupernet.load(Path(options.folder))  # damage is found now
        return SupernetEvaluator(setting.training, Path(options.folder), options.calibration, setting.device)
    folder = setting.folder / "supernet"
    drawn = folder / "networks.json"
    if not drawn.is_file():  # a device's costs are never measured twice the same
        start, seed = setting.initial[0], derive_seed(setting.training.seed, "supernet networks")
        found = draw(setting.space, setting.cost, setting.accepts, options.networks, start, seed, sweeps=1)
        smallest, *others = sorted(found, key=lambda candidate: candidate.cost["macs"])
        ends_first = (smallest, *others[-1:], *others[:-1])
        write_json(drawn, [candidate.architecture.to_text() for candidate in ends_first])

    def tell(report: StepReport) -> None:
        for callback in setting.callbacks:
            callback.on_preparation("training the supernet", report.step, report.steps, report.eta_seconds)

    networks: list[str] = read_json(drawn)
    train_supernet(
        setting.training,
        setting.space,
        networks,
        folder,
        steps=options.steps,
        at_once=options.at_once,
        every_step=networks[:_ENDS] if options.sandwich and options.at_once > _ENDS else (),
        device=setting.device,
        callbacks=[tell],
    )
    return SupernetEvaluator(setting.training, folder, options.calibration, setting.device)


@dataclass(frozen=True)
class SupernetEvaluator:
    """Cuts a candidate out of a supernet, measures its batch statistics, and measures it on the part that is held out.

    The curve of an evaluation has one point: the losses by task on the part that is held out.

    Attributes:
        config: How the supernet was trained; architecture and seed come with each candidate, and decide nothing here
            but which network is cut.
        folder: Of the supernet.
        calibration: Training images by which batch statistics are measured.
        device: Where to measure.
    """

    config: TrainConfig
    folder: Path
    calibration: int
    device: str = "auto"

    def identity(self) -> str:
        """Return hex digits of what decided the supernet's weights."""
        from ednas.training.supernet.file import TrainedSupernet

        notes = TrainedSupernet.load(self.folder).notes
        return hashlib.sha256(json.dumps(notes.identity, sort_keys=True).encode()).hexdigest()[:16]

    def evaluate(self, architecture: Architecture, seed: int) -> Evaluation:  # noqa: ARG002 - nothing is drawn
        """Measure a candidate.

        Raises:
            ArchitectureError: The supernet was not made for it.
            CheckpointError: The supernet is damaged.
            TrainingError: A prediction is not finite.
            EdnasError: The configuration or the data are wrong.
        """
        from ednas.plugins import load_plugins
        from ednas.training import evaluate, prepare_judgement
        from ednas.training.device import resolve_device
        from ednas.training.supernet.calibrate import calibrate, mean_losses
        from ednas.training.supernet.file import TrainedSupernet

        load_plugins(self.config.plugins)
        model, train_split, held_out = prepare_judgement(self.config)
        network = TrainedSupernet.load(self.folder).cut(architecture)
        model = replace(model, network=network, architecture=architecture).to(resolve_device(self.device))
        calibrate(model, train_split, self.calibration, self.config.recipe.eval_batch_size)
        metrics = evaluate(model, held_out, self.config.protocol, batch_size=self.config.recipe.eval_batch_size)
        point = CurvePoint(0, losses=mean_losses(model, held_out, self.config.recipe.eval_batch_size))
        return Evaluation(metrics["tasks"], metrics["higher_is_better"], "; ".join(metrics["remarks"]), (point,))
