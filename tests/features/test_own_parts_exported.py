"""Networks with a backbone or decoder of one's own through the real converters, in a process of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from helpers.export_packages import NEEDS_EXPORT, can_convert
from helpers.own_parts import BOTH, EXAMPLE, HEADS, Calls, example, pooled
from helpers.small_training import SIZE, TARGETS, write_dataset

from ednas.arch import load_architecture
from ednas.exceptions import ExportError
from ednas.export.deployed import Deployed
from ednas.export.formats import litert
from ednas.export.run import ExportConfig, export_model
from ednas.nn import register_backbone
from ednas.plugins import load_plugin
from ednas.training import Model, build_model

if not can_convert():
    pytest.skip(NEEDS_EXPORT, allow_module_level=True)

TESTS = Path(__file__).parents[1]

SCRIPT = """
import torch
from helpers.own_parts import pooled
from helpers.small_training import SIZE, TARGETS
import ednas
from ednas.export.formats import litert
from ednas.export.deployed import Deployed

class Mine(torch.nn.Module):
    def forward(self, image):
        return pooled(image)

ednas.register_backbone("mine", Mine)
model = ednas.build_model(ednas.load_architecture("base backbone:mine"), ("depth",), TARGETS, input_size=SIZE)
try:
    litert.convert(Deployed(model, input_size=SIZE), "model.tflite")
except ednas.EdnasError as error:
    print(error)
"""


@pytest.fixture(autouse=True)
def _example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    with example():
        yield


def make(text: str) -> Model:
    model = build_model(load_architecture(text), tuple(HEADS), TARGETS, input_size=SIZE, plugins=(str(EXAMPLE),))
    model.network.train()
    model.forward(torch.rand(8, 3, *SIZE))  # statistics other than those of fresh layers
    model.network.eval()
    return model


@pytest.mark.slow
@pytest.mark.parametrize("format_", ["litert", "onnx"])
def test_a_network_of_own_parts_is_exported_and_proven(tmp_path: Path, format_: str) -> None:
    targets = ("ethos_u85_1024",) if format_ == "litert" else ()
    data = str(write_dataset(tmp_path / "data"))
    config = ExportConfig(format=format_, int8=True, data=data, targets=targets, max_drop_percent=1e9)
    found = export_model(make(BOTH), tmp_path / "out", config)
    assert found.failures == ()
    assert max(found.check.parity.values()) < 1e-4
    assert min(found.check.snr_db.values()) > 20
    assert found.manifest.architecture["backbone"] == "plain(width=4)"


@pytest.mark.slow
def test_other_activations_and_concatenations_are_converted_too(tmp_path: Path) -> None:
    class_file = tmp_path / "swish.py"
    class_file.write_text(
        "import torch\n"
        "from torch import nn\n"
        "class Swish(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.convs = nn.ModuleList(nn.Conv2d(3, 4, 3, 4, padding=1) for _ in range(2))\n"
        "        self.acts = nn.ModuleList([nn.Hardswish(), nn.ReLU()])\n"
        "        self.down = nn.ModuleList(nn.Conv2d(8, 8, 3, 2, padding=1) for _ in range(3))\n"
        "    def forward(self, x):\n"
        "        x = torch.cat([act(conv(x)) for conv, act in zip(self.convs, self.acts)], 1)\n"
        "        levels = [x * x.sigmoid()]\n"
        "        for conv in self.down:\n"
        "            levels.append(conv(levels[-1]))\n"
        "        return levels\n"
    )
    register_backbone("swish", load_plugin(class_file).Swish)
    data = str(write_dataset(tmp_path / "data"))
    config = ExportConfig(int8=True, data=data, targets=("ethos_u85_1024",), max_drop_percent=1e9, ranges="full")
    found = export_model(make("base backbone:swish"), tmp_path / "out", config)
    operators = {layer.op for layer in found.check.layers}
    assert {"CONCATENATION", "HARD_SWISH", "LOGISTIC", "MUL"} <= operators
    assert not [failure for failure in found.failures if "clean" in failure or "requantises" in failure]


def test_a_class_of_a_function_is_refused_before_anything_runs(tmp_path: Path) -> None:
    class Local(Calls):
        pass

    register_backbone("local", lambda: Local(pooled))
    with pytest.raises(ExportError, match="'network.encoder' of the network is a Local, which is defined in a func"):
        litert.convert(Deployed(make("base backbone:local"), input_size=SIZE), tmp_path / "model.tflite")
    assert not (tmp_path / "model.tflite").exists()


@pytest.mark.slow
def test_a_class_of_the_script_that_runs_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(f"import sys\nsys.path.append({str(TESTS)!r})\n{SCRIPT}")
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    (line,) = done.stdout.splitlines()
    assert line.startswith("'network.encoder' of the network is a Mine, which is defined in the script or notebook")
    assert "move the class to a .py file of its own and load that by ednas.load_plugin" in line
