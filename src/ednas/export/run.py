"""An export from a checkpoint to a folder that is ready for the device, with the proof that it is the same model.

What ``ednas export`` does: fine-tune for int8 if asked, convert, quantise, audit the operators, check, and only then
put the folder in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from ednas.config import StrictModel
from ednas.exceptions import ExportError
from ednas.export.manifest import MANIFEST_FILE, Manifest, OutputStride, write_manifest
from ednas.files import atomic_path, write_json, write_text
from ednas.tasks import EvaluationProtocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ednas.data.cache import CachedSplit
    from ednas.export.audit import Audit
    from ednas.export.check import CheckReport
    from ednas.export.deployed import Deployed
    from ednas.hw import Target
    from ednas.training.model import Model

CHECK_FILE, AUDIT_FILE = "check.json", "audit.json"

Format = Literal["litert", "onnx"]

_SUFFIX = {"litert": ".tflite", "onnx": ".onnx"}

_NEEDS: dict[Format, tuple[str, tuple[str, ...]]] = {
    "litert": ("export", ("litert_torch", "ai_edge_quantizer", "ai_edge_litert")),
    "onnx": ("onnx", ("onnx", "onnxscript", "onnxruntime")),
}
"""The extra of the package and what it installs, by format."""

Progress = Callable[[str, int, int], None]
"""Called with (what is done, how much of it is done, how much there is)."""


class ExportConfig(StrictModel):
    """How a model is exported.

    Attributes:
        format: ``litert`` (``.tflite``) or ``onnx``.
        int8: Whether weights and activations are quantised to 8 bits.
        io: Elements of a quantised TFLite model's input and outputs.
        calibration: Dataset whose train split gives the ranges of the activations; None = that of ``data``.
        samples: Images to take from it, spread over the split.
        ranges: How the activations' ranges in several images become one, see :func:`ednas.export.litert.quantise`;
            ``auto`` tries both and keeps what brings the worst output nearer to the float model's.
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

    format: Format = "litert"
    int8: bool = False
    io: Literal["int8", "uint8", "float"] | None = None
    calibration: str | None = None
    samples: int = Field(default=32, gt=0)
    ranges: Literal["auto", "full", "average"] = "auto"
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
        if self.format == "onnx" and (self.io or self.targets or self.fuse):
            raise ValueError("io, targets and fuse belong to format litert; leave them out for onnx")
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


Quantise = Callable[[Path, "Iterable[npt.NDArray[np.float32]]", Path], None]


class Converter(NamedTuple):
    """What writes models of a format.

    Attributes:
        convert: Writes a network as a float file.
        quantise: Each writes a float file as an int8 one, with normalised images ``(1, H, W, 3)`` for its ranges; by
            how these are put together.
        finish: Names input and outputs and embeds the manifest; returns it with the file's tensors.
    """

    convert: Callable[[Deployed, Path], None]
    quantise: Mapping[str, Quantise]
    finish: Callable[[Path, Manifest], Manifest]


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
        progress: Told what is being done.

    Returns:
        What was written, and whether it is good: a model that is not is written all the same, and says so.

    Raises:
        ExportError: A package is missing, the target does not run what is fused, or the conversion fails.
        EdnasError: Data, target or input size are wrong, or the folder cannot be written.
    """
    from ednas.export.calibration import spread_images
    from ednas.export.check import check
    from ednas.export.deployed import Deployed, check_export_size

    told = progress or _untold
    out = Path(out)
    size = config.input_size or model.input_size
    # What can be known to fail fails before anything that takes long.
    _check_packages(config.format)
    check_export_size(size)
    targets = [_target(name, config) for name in dict.fromkeys(config.targets)]
    _check_place(out)
    suffix = _SUFFIX[config.format]
    ratios: dict[str, float] = {}
    with atomic_path(out) as folder:
        folder.mkdir()
        path = folder / f"model{suffix}"
        float_path = folder / f"model_float{suffix}" if config.int8 else path
        # Ranges need images alone.
        taught = model.targets if config.qat_steps else ()
        open_split = partial(_split, model, config.data_options, size, told)
        training = open_split(config.calibration or config.data, "train", taught) if config.int8 else None
        validation = open_split(config.data or config.calibration, config.split, model.targets)
        exported = _finetuned(model, training, config, told) if config.qat_steps and training else model
        deployed = Deployed(
            exported, input_size=size, output_stride=config.output_stride, fuse_argmax=config.fuse == "argmax"
        )
        with _stage(told, "converting"):
            manifest = _convert(deployed, float_path, name, config)
        if training is not None:
            with _stage(told, "quantising"):
                images = spread_images(training, config.samples, model.normalisation)
                manifest, ratios = _quantise(deployed, float_path, path, images, name, config)
        write_manifest(folder / MANIFEST_FILE, manifest)
        unlike = _unlike(record, validation, config, partial(_split, model, config.data_options))
        _write_labels(folder, manifest)
        with _stage(told, "auditing"):
            audits = tuple(_audit(path, target) for target in targets)
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
            progress=told,
        )
        write_json(folder / CHECK_FILE, report.model_dump(mode="json"))
        if audits:
            write_json(folder / AUDIT_FILE, {found.target: found.to_dict() for found in audits})
    return Exported(out, out / path.name, manifest, report, audits, ratios)


def _check_packages(runtime: Format) -> None:
    extra, packages = _NEEDS[runtime]
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise ExportError(f'format {runtime} needs {", ".join(missing)}; pip install "ednas[{extra}]"')


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


def _convert(deployed: Deployed, path: Path, name: str, config: ExportConfig) -> Manifest:
    """Write the float model."""
    converter = _converter(config)
    converter.convert(deployed, path)
    return converter.finish(path, deployed.manifest(name, config.format, "float32"))


def _quantise(
    deployed: Deployed, float_path: Path, path: Path, images: npt.NDArray[np.float32], name: str, config: ExportConfig
) -> tuple[Manifest, dict[str, float]]:
    """Write the int8 model; return also how near the outputs of all that was tried came to the float model's, in dB."""
    converter = _converter(config)
    made: dict[str, Manifest] = {}
    ratios: dict[str, float] = {}
    for ranges, quantise in converter.quantise.items():
        candidate = _candidate(path, ranges)
        quantise(float_path, [image[None] for image in images], candidate)
        made[ranges] = converter.finish(candidate, deployed.manifest(name, config.format, "int8"))
        if len(converter.quantise) > 1:
            ratios[ranges] = _worst_snr(float_path, candidate, images)
    chosen = max(made, key=lambda ranges: ratios.get(ranges, 0.0))
    for ranges in made:
        candidate = _candidate(path, ranges)
        candidate.replace(path) if ranges == chosen else candidate.unlink()
    return made[chosen], ratios


def _candidate(path: Path, ranges: str) -> Path:
    return path.with_stem(f"{path.stem}_{ranges}")


def _worst_snr(float_path: Path, path: Path, images: npt.NDArray[np.float32]) -> float:
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


def _converter(config: ExportConfig) -> Converter:
    """Return what writes the format."""
    if config.format == "onnx":
        from ednas.export import onnx

        return Converter(onnx.convert, {"full": onnx.quantise}, onnx.finish)
    from ednas.export import litert

    tried: tuple[litert.Ranges, ...] = ("full", "average") if config.ranges == "auto" else (config.ranges,)
    quantise: dict[str, Quantise] = {
        ranges: partial(litert.quantise, io=config.io or "int8", ranges=ranges) for ranges in tried
    }
    return Converter(litert.convert, quantise, litert.finish)


def _audit(path: Path, target: Target) -> Audit:
    from ednas.export.audit import audit

    return audit(path, target)


def _write_labels(folder: Path, manifest: Manifest) -> None:
    """Write the names of classes, one a line, for programs that read no JSON."""
    for task, output in manifest.outputs.items():
        if output.decoding.class_names:
            write_text(folder / f"labels_{task}.txt", "\n".join(output.decoding.class_names) + "\n")


def _split(
    model: Model,
    options: Mapping[str, Any],
    size: tuple[int, int],
    told: Progress,
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
    from ednas.data.photos import find_photos
    from ednas.data.reader import check_labels

    # Ranges need no labels, so that a folder of photos does.
    photos = None if targets else find_photos(name)
    dataset = photos or open_as_trained(name, split, model.dataset, model.data_options, options)
    check_meaning(dataset.info, {target: model.targets[target] for target in targets})
    check_labels(dataset, targets)
    return open_cache(dataset, size, progress=lambda done, total: told(f"decoding {split}", done, total))


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
        found = open_split(size, _untold, config.data or config.calibration, config.split, ())
        validation = found or validation
    if record.get("digest") != validation.digest:
        return f"the checkpoint's metrics are of other data than the split '{validation.split}' holds now"
    return ""


def _finetuned(model: Model, data: CachedSplit, config: ExportConfig, told: Progress) -> Model:
    from ednas.export.qat import LEARNING_RATE, finetune

    return finetune(
        model,
        data,
        steps=config.qat_steps,
        learning_rate=config.qat_learning_rate or LEARNING_RATE,
        seed=config.seed,
        device=config.device,
        progress=lambda report: told("fine-tuning", report.step, config.qat_steps),
    )


def _untold(what: str, done: int, total: int) -> None:
    del what, done, total


@contextmanager
def _stage(told: Progress, what: str) -> Iterator[None]:
    """Tell the beginning and the end of something that cannot say how far it is."""
    told(what, 0, 1)
    yield
    told(what, 1, 1)
