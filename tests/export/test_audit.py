"""The audit of operators, on small files written for it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from helpers.tflite_files import TfliteFile

from ednas.exceptions import ExportError, TargetError
from ednas.export.audit import Audit, AuditRow, audit
from ednas.hw import Layer, LayerGraph, load_target, write_tflite
from ednas.hw.sources import edgetpu, vela
from ednas.hw.tflite.versions import VERSIONS

SHAPE = (8, 8, 16)
CORAL = load_target("coral_usb")
ETHOS = load_target("ethos_u55_256")
CPU = load_target("cpu_generic")


def layer(op: str, *inputs: int, output: tuple[int, int, int] = SHAPE, **fields: object) -> Layer:
    convolution = {"macs": 16 * 16 * 64, "weight_bytes": 320} if op == "CONV_2D" else {}
    return Layer(op.lower(), "", op, SHAPE, output, inputs=inputs or (-1,), **{**convolution, **fields})


def write(path: Path, *layers: Layer, dtype: str = "int8") -> Path:
    write_tflite(LayerGraph(layers, 1024, 1024), path / "model.tflite", dtype=dtype)
    return path / "model.tflite"


def content(path: Path, op: str, version: int) -> None:
    """Give the operators of a kind in a file another version."""
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(path))
    for index, code in enumerate(model.operatorCodes):
        if flatbuffer_utils.opcode_to_name(model, index) == op:
            code.version = version
    flatbuffer_utils.write_model(model, str(path))


@pytest.fixture(autouse=True)
def _no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def test_a_clean_network_maps(tmp_path: Path) -> None:
    path = write(tmp_path, layer("CONV_2D"), layer("ADD", 0, 0), layer("CONV_2D", 1))
    found = audit(path, CORAL)
    assert found.passed
    assert (found.target, found.operators, found.host_ops) == ("coral_usb", 3, 0)
    assert found.rows == (AuditRow("CONV_2D", 3, 2, "mapped"), AuditRow("ADD", 2, 1, "mapped"))
    assert found.notes == ("not confirmed: edgetpu_compiler is not on the PATH",)


def test_it_is_json(tmp_path: Path) -> None:
    value = json.loads(json.dumps(audit(write(tmp_path, layer("CONV_2D")), CORAL).to_dict()))
    assert value["rows"] == [{"op": "CONV_2D", "version": 3, "count": 1, "where": "mapped", "why": ""}]
    assert (value["passed"], value["host_ops"], value["operators"], value["failures"]) == (True, 0, 1, [])


def test_what_the_accelerator_lacks_and_all_after_it_is_the_hosts(tmp_path: Path) -> None:
    path = write(tmp_path, layer("CONV_2D"), layer("HARD_SWISH", 0), layer("CONV_2D", 1))
    found = audit(path, CORAL)
    assert [(row.op, row.count, row.where) for row in found.rows] == [
        ("CONV_2D", 1, "mapped"),
        ("HARD_SWISH", 1, "host"),
        ("CONV_2D", 1, "host"),
    ]
    assert found.rows[1].why == "the accelerator has no HARD_SWISH"
    assert found.rows[2].why.startswith("after layer 'hard_swish")
    assert found.host_ops == 2
    assert len(found.failures) == 1
    assert "the host would run 2 of 3 operators: layer 'hard_swish" in found.failures[0]


def test_a_processor_runs_everything(tmp_path: Path) -> None:
    found = audit(write(tmp_path, layer("CONV_2D"), layer("HARD_SWISH", 0)), CPU)
    assert found.passed
    assert found.notes == ()


def test_grouped_convolutions_make_the_compiler_refuse_the_model(tmp_path: Path) -> None:
    grouped = layer("CONV_2D", 0, groups=2, weight_bytes=192, macs=8 * 16 * 64)
    found = audit(write(tmp_path, layer("ADD", -1, -1), grouped), CORAL)
    assert [(row.op, row.version, row.where) for row in found.rows] == [("ADD", 2, "host"), ("CONV_2D", 6, "rejected")]
    assert found.host_ops == 2
    assert len(found.failures) == 1
    assert found.failures[0].startswith("the compiler refuses the whole model: layer 'conv_2d")


@pytest.mark.parametrize(
    ("version", "where", "why"),
    [
        (1, "host", "has version 1, which does not stand for int8 as 2 does"),
        (2, "mapped", ""),
        (3, "host", "has version 3, the compiler maps up to 2"),
        (5, "rejected", "has version 5, compiler 16 reads up to 4"),
    ],
)
def test_versions_of_operators(tmp_path: Path, version: int, where: str, why: str) -> None:
    pytest.importorskip("ai_edge_litert")
    path = write(tmp_path, layer("CONV_2D"), layer("RESIZE_NEAREST_NEIGHBOR", 0, output=(16, 16, 16)))
    content(path, "RESIZE_NEAREST_NEIGHBOR", version)
    found = audit(path, CORAL)
    assert found.rows[1] == AuditRow("RESIZE_NEAREST_NEIGHBOR", version, 1, where, why)
    assert found.passed == (where == "mapped")
    assert audit(path, ETHOS, ask_compiler=False).passed  # Vela knows all versions


def test_every_version_that_is_mapped_can_be_read() -> None:
    mapped = {op: versions for op, versions in VERSIONS.items() if versions.mapped}
    assert len(mapped) == 23
    for op, versions in mapped.items():
        first, newest = versions.mapped
        assert op in CORAL.operators.supported
        assert first <= newest <= (versions.read or newest)


@pytest.mark.parametrize(
    ("op", "target"), [("TRANSPOSE", CORAL), ("TRANSPOSE", CPU), ("PADV2", CPU), ("QUANTIZE", CORAL)]
)
def test_operators_that_a_clean_conversion_leaves_out(tmp_path: Path, op: str, target: object) -> None:
    path = write(tmp_path, layer("CONV_2D"), layer(op, 0), layer("CONV_2D", 1))
    found = audit(path, target)
    assert not found.passed
    assert found.host_ops == 0
    (failure,) = found.failures
    assert failure.startswith(f"1 {op}, the first is '{op.lower()}")


def test_a_concatenation_may_requantise_what_it_reads(tmp_path: Path) -> None:
    both = layer("CONCATENATION", 0, 1, output=(8, 8, 32))
    assert audit(write(tmp_path, layer("CONV_2D"), layer("QUANTIZE", 0), both), CORAL).failures == ()


def quantised_at_its_ends(path: Path, outside: str, last: str) -> Path:
    """Write an addition between a conversion from and to another type of elements."""
    file = TfliteFile()
    tensors = [file.tensor(1, 8, 8, 16, dtype=dtype) for dtype in (outside, "int8", "int8", outside)]
    file.add("QUANTIZE", tensors[:1], tensors[1:2])
    file.add("ADD", [tensors[1], tensors[1]], tensors[2:3])
    file.add(last, tensors[2:3], tensors[3:])
    (path / "model.tflite").write_bytes(file.content(tensors[:1], tensors[3:]))
    return path / "model.tflite"


def test_float_inputs_and_outputs_are_the_hosts_but_no_failure(tmp_path: Path) -> None:
    path = quantised_at_its_ends(tmp_path, "float32", "DEQUANTIZE")
    found = audit(path, load_target("coral_pcie"), ask_compiler=False)
    assert [(row.op, row.where, row.why) for row in found.rows if row.op != "ADD"] == [
        ("QUANTIZE", "host", "converts a float input or output"),
        ("DEQUANTIZE", "host", "converts a float input or output"),
    ]
    assert found.host_ops == 2 + 1  # the addition of version 1 that the test's writer makes
    assert "version 1" in found.failures[0]
    assert "--io int8" in found.notes[0]


def test_unsigned_inputs_and_outputs_map(tmp_path: Path) -> None:
    found = audit(quantised_at_its_ends(tmp_path, "uint8", "QUANTIZE"), ETHOS, ask_compiler=False)
    assert found.passed
    assert found.host_ops == 0


def test_weights_that_are_dequantised_once_are_no_operators(tmp_path: Path) -> None:
    file = TfliteFile()
    half, weights = file.constant(4, 1, 1, 4, dtype="float16"), file.tensor(4, 1, 1, 4, dtype="float32")
    image, result = (file.tensor(1, 8, 8, 4, dtype="float32") for _ in range(2))
    file.add("DEQUANTIZE", [half], [weights])
    file.add("CONV_2D", [image, weights], [result], "Conv2DOptions", StrideH=1, StrideW=1)
    (tmp_path / "model.tflite").write_bytes(file.content([image], [result]))
    assert audit(tmp_path / "model.tflite", CPU) == Audit("cpu_generic", (AuditRow("CONV_2D", 1, 1, "mapped"),))


def test_a_float_model_is_no_model_for_integers(tmp_path: Path) -> None:
    path = write(tmp_path, layer("CONV_2D"), dtype="float32")
    assert audit(path, CPU).passed
    with pytest.raises(ExportError, match=r"computes float32, coral_usb int8.*; export it with --int8$"):
        audit(path, CORAL)


@pytest.mark.parametrize("text", [b"", b"PK\3\4TFL3", b"\0\0\0\0TFL3" + b"\xff" * 64, b"nothing of the kind"])
def test_what_is_no_model(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "model.tflite").write_bytes(text)
    with pytest.raises(TargetError, match=r"model\.tflite: "):
        audit(tmp_path / "model.tflite", CORAL)


def test_damaged_files_never_raise_anything_else(tmp_path: Path) -> None:
    whole = write(tmp_path, layer("CONV_2D"), layer("ADD", 0, 0)).read_bytes()
    path = tmp_path / "damaged.tflite"
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + b"\xff" + whole[position + 1 :])
        try:
            audit(path, CORAL)
        except (TargetError, ExportError) as error:
            assert "\n" not in str(error)


class TestVela:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("ethosu.vela")

    def test_confirms_that_all_maps(self, tmp_path: Path) -> None:
        found = audit(write(tmp_path, layer("CONV_2D"), layer("ADD", 0, 0)), ETHOS)
        assert found.passed
        assert found.notes == ("Vela (ethos-u55-256) gives 0 of 2 operators to the host",)

    def test_its_word_counts(self, tmp_path: Path) -> None:
        # The target's file allows factors 1 and 2 only; Vela maps nearest resizes by 4.
        path = write(tmp_path, layer("CONV_2D"), layer("RESIZE_NEAREST_NEIGHBOR", 0, output=(32, 32, 16)))
        assert not audit(path, ETHOS, ask_compiler=False).passed
        assert audit(path, ETHOS).passed

    def test_names_what_it_leaves_to_the_host(self, tmp_path: Path) -> None:
        path = write(tmp_path, layer("CONV_2D"), layer("RESIZE_BILINEAR", 0, output=(32, 32, 16)))
        found = audit(path, ETHOS)
        assert found.rows[0] == AuditRow("CONV_2D", 3, 1, "mapped")
        assert (found.rows[1].op, found.rows[1].where) == ("RESIZE_BILINEAR", "host")
        assert "scale-factor=4" in found.rows[1].why
        assert "the host would run 1 of 2 operators: layer 'resize_bilinear" in found.failures[0]


def test_without_vela_nothing_is_confirmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vela, "_is_installed", lambda: False)
    found = audit(write(tmp_path, layer("CONV_2D")), ETHOS)
    assert found.passed
    assert found.notes == (f"not confirmed: {vela.MISSING}",)


def test_vela_knows_a_target_by_its_name(tmp_path: Path) -> None:
    found = audit(write(tmp_path, layer("CONV_2D")), ETHOS.model_copy(update={"name": "mine"}))
    assert found.passed
    assert "Vela knows no accelerator 'mine'" in found.notes[0]


def test_a_target_that_names_no_compiler_is_confirmed_by_none(tmp_path: Path) -> None:
    found = audit(write(tmp_path, layer("CONV_2D")), ETHOS.model_copy(update={"compiler": None}))
    assert found.passed
    assert found.notes == ()


REPORT = """\
Edge TPU Compiler version 16.0.384591198
On-chip memory used for caching model parameters: 604.50KiB
Off-chip memory used for streaming uncached model parameters: 0.00B
Total number of operations: 2
"""
ON_HOST = "Number of operations that will run on Edge TPU: 1\nNumber of operations that will run on CPU: 1\n"


class TestEdgeTpuCompiler:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return write(tmp_path, layer("CONV_2D"), layer("ADD", 0, 0))

    def stand_in(self, folder: Path, report: str, does: str = "") -> None:
        script = folder / edgetpu.COMPILER
        script.write_text(
            f"#!{sys.executable}\nimport pathlib, sys\nprint({report!r})\n{does}\n"
            "(pathlib.Path(sys.argv[2]) / 'model_edgetpu.tflite').write_bytes(b'')\n",
            encoding="utf-8",
        )
        script.chmod(0o755)

    def test_confirms_that_all_maps(self, path: Path) -> None:
        self.stand_in(path.parent, REPORT)
        found = audit(path, CORAL)
        assert found.passed
        assert found.notes[0].startswith("edgetpu_compiler: 2 of 2 operators map")

    def test_leaves_operators_to_the_host(self, path: Path) -> None:
        self.stand_in(path.parent, REPORT + ON_HOST)
        assert audit(path, CORAL).failures == ("edgetpu_compiler leaves 1 operators to the host",)

    def test_refuses(self, path: Path) -> None:
        self.stand_in(path.parent, REPORT, does="print('Invalid model'); sys.exit(1)")
        (failure,) = audit(path, CORAL).failures
        assert "edgetpu_compiler refuses it" in failure
        assert "Invalid model" in failure

    def test_is_not_asked_about_other_devices(self, path: Path) -> None:
        self.stand_in(path.parent, REPORT + ON_HOST)
        assert audit(path, CPU).passed
