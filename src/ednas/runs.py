"""The files of runs: the one place that names them. A run is a folder; nothing is read or made here."""

from __future__ import annotations

from pathlib import Path


class CheckpointFolder:
    """The files of a checkpoint.

    Attributes:
        path: The folder.
        config: What the network is.
        weights: Its weights.
        metrics: What was measured of it; may be missing.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.weights = self.path / "model.safetensors"
        self.metrics = self.path / "metrics.json"


class RunFolder:
    """The files of a run: a training, a search, or both one beside the other in the demo's.

    Attributes:
        path: The folder.
        config: The complete configuration.
        report: The page about it.
        checkpoint: Of a training: what it made.
        best_checkpoint: What was best on the part that was held out.
        state: What a training that was broken off resumes from.
        log: What it said.
        logs: Folder of its figures by step.
        steps: Losses and learning rate by step.
        validation: What was measured on the part that was held out, by step.
        range_test: The test that found its learning rate.
        weights_search: The search that found the weights of its tasks.
        sharing_search: Folder of what learns what its tasks share, until that is known.
        sharing_found: What they share.
        trackers: What it is called by other loggers.
        seconds: Processor seconds that each of its processes took, where it is one of many trainings.
        adashare: What was measured of it under AdaShare's protocol, beside the other.
        found: Of a search that tables of the paper stand on: what it found.
        metrics: Of several seeds: the mean of what was measured.
        summary: Mean, standard deviation and values of each metric.
        study: Of a search: its trials.
        best: The architecture that it found.
        pareto: Those of which none is better in everything.
        trials: What its trials are exported to, without an ending.
        trivial: What the mean training label of each pixel scores.
        noise: How much of the difference between candidates is chance.
        evaluator: Folder of what its evaluator learned before the first trial.
        filter: Which candidates are bad enough not to be trained.
        bank: The trainings that were made for that.
        check: How far evaluators can be trusted.
        job: Of the whole job: what is searched, and how its result is trained.
        methods: Of a comparison of methods: which, and how they are trained.
        trained: Folder of the final trainings.
        comparison: What these reach, beside one another.
        predictions: Folder of pictures of what they predict.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.report = self.path / "report.html"
        self.checkpoint = CheckpointFolder(self.path / "checkpoint")
        self.best_checkpoint = CheckpointFolder(self.path / "best")
        self.state = self.path / "state.safetensors"
        self.log = self.path / "log.txt"
        self.logs = self.path / "logs"
        self.steps = self.logs / "steps.csv"
        self.validation = self.logs / "validation.csv"
        self.range_test = self.path / "find_lr.json"
        self.weights_search = self.path / "find_weights.json"
        self.sharing_search = self.path / "sharing"
        self.sharing_found = self.path / "find_sharing.json"
        self.trackers = self.logs / "trackers.json"
        self.seconds = self.path / "seconds.json"
        self.adashare = self.path / "metrics_adashare.json"
        self.found = self.path / "found.json"
        self.metrics = self.path / "metrics.json"
        self.summary = self.path / "summary.json"
        self.study = self.path / "study.db"
        self.best = self.path / "best.json"
        self.pareto = self.path / "pareto.json"
        self.trials = self.path / "trials"
        self.trivial = self.path / "trivial.json"
        self.noise = self.path / "noise.json"
        self.evaluator = self.path / "evaluator"
        self.filter = self.path / "filter.json"
        self.bank = self.path / "bank.jsonl"
        self.check = self.path / "check.json"
        self.job = self.path / "study.yaml"
        self.methods = self.path / "methods.yaml"
        self.trained = self.path / "checkpoints"
        self.comparison = self.path / "comparison.json"
        self.predictions = self.path / "predictions"

    @property
    def is_search(self) -> bool:
        """Whether it holds the trials of a search."""
        return self.study.exists()

    @property
    def is_training(self) -> bool:
        """Whether it holds a training, finished or broken off."""
        return self.checkpoint.path.exists() or self.state.exists()

    @property
    def changing(self) -> tuple[Path, ...]:
        """What is written while a run goes on and says something of it; not all of it need be there."""
        log = self.study.with_name(f"{self.study.name}-wal")  # what SQLite has not yet put into the study
        return (
            *(self.config, self.study, log, self.best, self.trivial, self.noise, self.job, self.comparison),
            *(self.steps, self.validation, self.checkpoint.metrics, self.best_checkpoint.metrics, self.summary),
        )

    def seed(self, seed: int) -> RunFolder:
        """Return the folder of one of several trainings."""
        return RunFolder(self.path / f"seed_{seed}")

    def seed_numbers(self) -> list[int]:
        """Return the seeds of several trainings of which there are folders."""
        found = [path.name.removeprefix("seed_") for path in self.path.glob("seed_*") if path.is_dir()]
        return sorted(map(int, filter(str.isdecimal, found)))

    def seeds(self) -> list[RunFolder]:
        """Return the folders of several trainings that are there, by their seeds."""
        return [self.seed(seed) for seed in self.seed_numbers()]

    def finals(self) -> list[RunFolder]:
        """Return the folders of the final trainings of a whole job that are there."""
        return [RunFolder(path) for path in sorted(self.trained.glob("*")) if path.is_dir()]
