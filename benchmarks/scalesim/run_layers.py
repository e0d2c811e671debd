"""Run SCALE-Sim on single layers; started by ``simulator_systolic.py`` in SCALE-Sim's own environment.

    python run_layers.py JOBS RESULTS

Both are JSON. A job is ``[rows, cols, dataflow, layer]`` with the layer ``[input height, input width, kernel height,
kernel width, input channels, filters, stride]``; its result is ``[cycles, input reads, weight reads, output writes, CPU
seconds]``: the numbers of SCALE-Sim's reports and the time of its ``run_scale``, which writes no traces here.
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
import time
from pathlib import Path

from scalesim.scale_sim import scalesim

# Estimated bandwidth: the array never waits for memory, and the buffers' sizes change neither cycles nor SRAM accesses.
CONFIG = """
[general]
run_name = run
[architecture_presets]
ArrayHeight = {rows}
ArrayWidth = {cols}
Dataflow = {dataflow}
IfmapSramSzkB = 1024
FilterSramSzkB = 1024
OfmapSramSzkB = 1024
IfmapOffset = 0
FilterOffset = 10000000
OfmapOffset = 20000000
ReadRequestBuffer = 32
WriteRequestBuffer = 32
[layout]
IfmapCustomLayout = False
IfmapSRAMBankBandwidth = 10
IfmapSRAMBankNum = 10
IfmapSRAMBankPort = 2
FilterCustomLayout = False
FilterSRAMBankBandwidth = 10
FilterSRAMBankNum = 10
FilterSRAMBankPort = 2
[sparsity]
SparsitySupport = false
[run_presets]
InterfaceBandwidth = CALC
UseRamulatorTrace = False
"""
LAYOUT_FACTORS = 20


def run(rows: int, cols: int, dataflow: str, layer: list[int], folder: Path) -> list[float]:
    """Return SCALE-Sim's cycles, SRAM reads of inputs and weights, SRAM writes of outputs, and its CPU seconds."""
    config, topology, layout = folder / "array.cfg", folder / "topology.csv", folder / "layout.csv"
    config.write_text(CONFIG.format(rows=rows, cols=cols, dataflow=dataflow))
    topology.write_text(f"header\nlayer,{','.join(map(str, layer))},\n")
    layout.write_text(f"header\nlayer,{'1,' * LAYOUT_FACTORS}\n")
    simulator = scalesim(
        save_disk_space=True, verbose=False, config=str(config), topology=str(topology), layout=str(layout)
    )
    start = time.process_time()
    simulator.run_scale(top_path=str(folder))
    seconds = time.process_time() - start
    compute, access = (_report(folder / "run" / name) for name in ("COMPUTE_REPORT.csv", "DETAILED_ACCESS_REPORT.csv"))
    keys = ("SRAM IFMAP Reads", "SRAM Filter Reads", "SRAM OFMAP Writes")
    return [int(compute["Total Cycles"]), *(int(float(access[key])) for key in keys), seconds]


def _report(path: Path) -> dict[str, str]:
    with path.open(newline="") as file:
        return next(csv.DictReader(file, skipinitialspace=True))


def main() -> None:
    jobs, results = map(Path, sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        done = []
        for number, (rows, cols, dataflow, layer) in enumerate(json.loads(jobs.read_text()), start=1):
            done.append(run(rows, cols, dataflow, layer, Path(folder)))
            if number % 50 == 0:
                print(f"SCALE-Sim: {number} layers", file=sys.stderr, flush=True)
    results.write_text(json.dumps(done))


if __name__ == "__main__":
    main()
