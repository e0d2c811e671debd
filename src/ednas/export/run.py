"""An export from a checkpoint to a folder that is ready for the device, with the proof that it is the same model.

What ``ednas export`` does: fine-tune for int8 if asked, convert, quantise, audit the operators, check, and only then
put the folder in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from ednas.config import StrictModel
from ednas.exceptions import ExportError
from ednas.export.converter import IO, Converter, Floats, FormatName, Ranges, converters, find_converter
from ednas.export.manifest import MANIFEST_FILE, Manifest, OutputStride, write_manifest
from ednas.files import atomic_path, write_json, write_text
from ednas.tasks import EvaluationProtocol

if TYPE_CHECKING:
    from ednas.data.cache import CachedSplit
    from ednas.export.audit import Audit
    from ednas.export.check import CheckReport
    from ednas.hw import Target
    from ednas.training.model import Model

CHECK_FILE, AUDIT_FILE = "check.json", "audit.json"

Progress = Callable[[str, int, int], None]
"""Called with (what is done, how much of it is done, how much there is)."""


class ExportConfig(StrictModel):
    """How a model is exported.

    Attributes:
        format: ``litert`` (``.tflite``), ``onnx``, or one that was registered
            (:func:`ednas.export.converter.register_converter`).
        int8: Whether weights and activations are quantised to 8 bits.
        io: Elements of a quantised TFLite model's input and outputs.
        calibration: Dataset whose train split gives the ranges of the activations; None = that of ``data``.
        samples: Images to take from it, spread over the split.
        ranges: How the activations' ranges in several images become one, as the format knows it
            (:func:`ednas.export.formats.litert.quantise`); ``auto`` tries all ways and keeps what brings the worst
            output nearest to the float model's.
        data: Dataset for the metrics before and after; None = that of ``calibration``.
        data_options: Options of the format of both; on the dataset of the training, those of then are the defaults.
        split: Its split.
        output_stride: The outputs' size is the input's divided by it.
        input_size: ``(height, width)``; None = the checkpoint's.
        targets: The devices whose operators are audited; the one file is for all of them.
        fuse: ``argmax``: tasks on class labels put out classes.
        qat_steps: Steps of quantisation-aware fine-tuning before.
        qat_learning_rate: Its highest learning rate; None = the fine-tuning's own.
        protocol: Protocol of the metrics.
        max_drop_percent: What a metric may lose, percent of its value.
        seed: Of the fine-tuning.
        device: Where the fine-tuning runs.
    """

    format: FormatName = "litert"
    int8: bool = False
    io: IO | None = None
    calibration: str | None = None
    samples: int = Field(default=32, gt=0)
    ranges: Literal["auto", Ranges] = "auto"
    data: str | None = None
    data_options: Mapping[str, Any] = Field(default_factory=dict)
    split: str = "val"
    output_stride: OutputStride = 4
    input_size: tuple[int, int] | None = None
    targets: tuple[str, ...] = ()
    fuse: Literal["argmax"] | None = None
    qat_steps: int = Field(default=0, ge=0)
    qat_learning_rate: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    protocol: EvaluationProtocol = "standard"
    max_drop_percent: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    seed: int = Field(default=0, ge=0)
    device: str = "auto"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.int8 and not (self.calibration or self.data):
            raise ValueError("int8 needs images for the ranges of its activations; give calibration or data")
        converter = find_converter(self.format)
        if any(getattr(self, option) for option in converter.lacks):
            *lacked, last = converter.lacks
            owners = " and ".join(name for name, other in converters().items() if not other.lacks)
            options = f"{', '.join(lacked)} and {last}" if lacked else last
            raise ValueError(f"{options} belong to format {owners}; leave them out for {self.format}")
        if self.int8 and self.ranges not in ("auto", *converter.quantise):
            known = ", ".join(("auto", *converter.quantise))
            raise ValueError(f"ranges '{self.ranges}': format {self.format} knows {known}")
        if self.io and not self.int8:
            raise ValueError("io belongs to int8: the input and outputs of a float model are float")
        if self.qat_steps and not self.int8:
            raise ValueError("qat_steps belongs to int8: a float model needs no fine-tuning")
        return self


@dataclass(frozen=True)
class Exported:
    """What an export has written and found.

    Attributes:
        folder: The folder.
        model: The model file in it.
        manifest: Content of its ``model.json``.
        check: Content of its ``check.json``.
        audits: Which operators each target runs.
        ranges_db: Signal-to-noise ratio of the worst output on the calibration images, by how the ranges of activations
            were put together; the best was taken. Empty where nothing was tried out.
    """

    folder: Path
    model: Path
    manifest: Manifest
    check: CheckReport
    audits: tuple[Audit, ...]
    ranges_db: Mapping[str, float] = field(default_factory=dict)

    @property
    def failures(self) -> tuple[str, ...]:
        """What is not good, one line each."""
        audits = [f"{audit.target}: {failure}" for audit in self.audits for failure in audit.failures]
        return (*audits, *self.check.failures)

    @property
    def passed(self) -> bool:
        """Whether the model is proven good."""
        return not self.failures

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "folder": str(self.folder),
            "model": str(self.model),
            "passed": self.passed,
            "failures": list(self.failures),
            "ranges_db": dict(self.ranges_db),
            "manifest": self.manifest.model_dump(mode="json"),
            "check": self.check.model_dump(mode="json"),
            "audits": {audit.target: audit.to_dict() for audit in self.audits},
        }


def export_model(
    model: Model,
    out: Path | str,
    config: ExportConfig,
    *,
    name: str = "model",
    record: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Export a trained model and prove that the exported one is the same.

    Args:
        model: The model.
        out: The folder to write; an older export there is replaced as a whole, when the new one is complete.
        config: How.
        name: Of the model, for people.
        record: The checkpoint's ``metrics.json``; on the same data, the exported model must be as good.
        progress: Called with what is done, how much of it, and how much there is.

    Returns:
        What was written, and whether it is good: a model that is not is written all the same, and says so.

    Raises:
        ExportError: A package is missing, the target does not run what is fused, or the conversion fails.
        EdnasError: Data, target or input size are wrong, or the folder cannot be written.
    """
    from ednas.export.calibration import spread_images
    from ednas.export.check import check
    from ednas.export.deployed import Deployed, check_export_size

    progress = progress or _silent
    out = Path(out)
    size = config.input_size or model.input_size
    converter = find_converter(config.format)
    # What can be known to fail fails before anything that takes long.
    converter.check_installed()
    check_export_size(size)
    targets = [_target(name, config) for name in dict.fromkeys(config.targets)]
    _check_place(out)
    ratios: dict[str, float] = {}
    with atomic_path(out) as folder:
        folder.mkdir()
        path = folder / f"model{converter.suffix}"
        float_path = folder / f"model_float{converter.suffix}" if config.int8 else path
        # Ranges need images alone.
        taught = model.targets if config.qat_steps else ()
        open_split = partial(_split, model, config.data_options, size, progress)
        training = open_split(config.calibration or config.data, "train", taught) if config.int8 else None
        validation = open_split(config.data or config.calibration, config.split, model.targets)
        exported = _finetuned(model, training, config, progress) if config.qat_steps and training else model
        deployed = Deployed(
            exported, input_size=size, output_stride=config.output_stride, fuse_argmax=config.fuse == "argmax"
        )
        with _stage(progress, "converting"):
            converter.convert(deployed, float_path)
            manifest = converter.finish(float_path, deployed.manifest(name, converter, "float32"))
        if training is not None:
            with _stage(progress, "quantising"):
                images = spread_images(training, config.samples, model.normalisation)
                draft = deployed.manifest(name, converter, "int8")
                manifest, ratios = _quantise(converter, float_path, path, images, draft, config)
        write_manifest(folder / MANIFEST_FILE, manifest)
        unlike = _unlike(record, validation, config, partial(_split, model, config.data_options))
        _write_labels(folder, manifest)
        with _stage(progress, "auditing"):
            audits = tuple(converter.audit(path, target) for target in targets if converter.audit)
        report = check(
            model,
            deployed,
            path,
            float_path=float_path if config.int8 else None,
            cached=validation,
            protocol=config.protocol,
            record=None if unlike else record,
            not_compared=unlike,
            drop_limit_percent=config.max_drop_percent,
            progress=progress,
        )
        write_json(folder / CHECK_FILE, report.model_dump(mode="json"))
        if audits:
            write_json(folder / AUDIT_FILE, {found.target: found.to_dict() for found in audits})
    return Exported(out, out / path.name, manifest, report, audits, ratios)


def _check_place(out: Path) -> None:
    """Refuse to replace a folder that is something else than an export."""
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST_FILE).is_file():
        raise ExportError(f"{out}: exists and is no export; choose another folder")
    if out.exists() and not out.is_dir():
        raise ExportError(f"{out}: is a file; give a folder")


def _target(name: str, config: ExportConfig) -> Target:
    """Return a device, if it can run what is asked for."""
    from ednas.hw import load_target

    target = load_target(name)
    if not config.int8 and "float32" not in target.operators.dtypes:
        raise ExportError(f"{target.name} computes integers only; add --int8 --calibration DATA")
    if config.fuse and not target.operators.runs("ARG_MAX"):
        raise ExportError(
            f"{target.name} runs no ARG_MAX; leave the argmax to the host: examples/deploy/decode.py does it"
        )
    return target


def _quantise(
    converter: Converter, float_path: Path, path: Path, images: Floats, draft: Manifest, config: ExportConfig
) -> tuple[Manifest, dict[str, float]]:
    """Write the int8 model; return also how near the outputs of all that was tried came to the float model's, in dB."""
    candidates = {
        ranges: path.with_stem(f"{path.stem}_{ranges}")
        for ranges in converter.quantise
        if config.ranges in ("auto", ranges)
    }
    options = {"io": config.io} if config.io else {}
    made: dict[str, Manifest] = {}
    ratios: dict[str, float] = {}
    for ranges, candidate in candidates.items():
        converter.quantise[ranges](float_path, [image[None] for image in images], candidate, **options)
        made[ranges] = converter.finish(candidate, draft)
        if len(candidates) > 1:
            ratios[ranges] = _worst_snr(float_path, candidate, images)
    chosen = max(candidates, key=lambda ranges: ratios.get(ranges, 0.0))
    candidates.pop(chosen).replace(path)
    for candidate in candidates.values():
        candidate.unlink()
    return made[chosen], ratios


def _worst_snr(float_path: Path, path: Path, images: Floats) -> float:
    """Return the signal-to-noise ratio of the worst output that is no class id, dB."""
    from ednas.export.layers import snr_db
    from ednas.export.runtime import open_model

    runner = open_model(path)
    expected, found = open_model(float_path).run(images), runner.run(images)
    outputs = runner.manifest.outputs
    return min(
        (snr_db(expected[task], found[task]) for task in found if outputs[task].decoding.kind != "class_ids"),
        default=0.0,
    )


def _write_labels(folder: Path, manifest: Manifest) -> None:
    """Write the names of classes, one a line, for programs that read no JSON."""
    for task, output in manifest.outputs.items():
        if output.decoding.class_names:
            write_text(folder / f"labels_{task}.txt", "\n".join(output.decoding.class_names) + "\n")


def _split(
    model: Model,
    options: Mapping[str, Any],
    size: tuple[int, int],
    progress: Progress,
    name: str | None,
    split: str,
    targets: Iterable[str],
) -> CachedSplit | None:
    """Open a split of a dataset, which has labels of some targets, at the model's input size."""
    if name is None:
        return None
    from ednas.data import open_cache
    from ednas.data.formats import open_as_trained
    from ednas.data.matching import check_meaning
    from ednas.data.reader import check_labels
    from ednas.data.readers.photos import find_photos

    # Ranges need no labels, so that a folder of photos does.
    photos = None if targets else find_photos(name)
    dataset = photos or open_as_trained(name, split, model.dataset, model.data_options, options)
    check_meaning(dataset.info, {target: model.targets[target] for target in targets})
    check_labels(dataset, targets)
    return open_cache(dataset, size, progress=lambda done, total: progress(f"decoding {split}", done, total))


def _unlike(
    record: Mapping[str, Any] | None,
    validation: CachedSplit | None,
    config: ExportConfig,
    open_split: Callable[..., CachedSplit | None],
) -> str:
    """Say why a checkpoint's record cannot be compared with what is measured now; empty if it can."""
    if record is None or validation is None:
        return "the checkpoint holds no metrics"
    if "digest" not in record:  # written by an earlier version
        return "the checkpoint's metrics do not say of which data they are; evaluate it again"
    for what, now in (("protocol", config.protocol), ("dataset", validation.info.name), ("split", validation.split)):
        if record.get(what) != now:
            return f"the checkpoint's metrics are of {what} {record.get(what)}, not {now}"
    size = tuple(record["input_size"])
    if size != validation.size:  # a digest is that of the images at a size
        found = open_split(size, _silent, config.data or config.calibration, config.split, ())
        validation = found or validation
    if record.get("digest") != validation.digest:
        return f"the checkpoint's metrics are of other data than the split '{validation.split}' holds now"
    return ""


def _finetuned(model: Model, data: CachedSplit, config: ExportConfig, progress: Progress) -> Model:
    from ednas.export.qat import LEARNING_RATE, finetune

    return finetune(
        model,
        data,
        steps=config.qat_steps,
        learning_rate=config.qat_learning_rate or LEARNING_RATE,
        seed=config.seed,
        device=config.device,
        progress=lambda report: progress("fine-tuning", report.step, config.qat_steps),
    )


def _silent(*_: object) -> None:
    """Tell nobody."""


@contextmanager
def _stage(progress: Progress, what: str) -> Iterator[None]:
    """Tell the beginning and the end of something that cannot say how far it is."""
    progress(what, 0, 1)
    yield
    progress(what, 1, 1)
