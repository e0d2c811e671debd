"""Draws what an exported model sees in a folder of pictures: LiteRT, OpenCV, decode.py and draw.py, nothing else."""

import argparse
import sys
import time
from pathlib import Path

try:
    import cv2
    import numpy as np
    from decode import DeployError, open_network
    from draw import draw
except ImportError as missing:
    sys.exit(f"{missing}; pip install ai-edge-litert numpy opencv-python, and copy decode.py and draw.py, too")

SUFFIXES = (".jpg", ".jpeg", ".png")


def find_pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DeployError(f"{folder}: no such folder")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise DeployError(f"{folder}: holds no picture ({', '.join(SUFFIXES)})")
    return files


def main(model: str, folder: Path, out: Path, arrays: bool, delegate: str | None, threads: int) -> None:
    network, files = open_network(model, delegate, threads), find_pictures(folder)
    if out.resolve() == folder.resolve():
        raise DeployError(f"{out}: holds the pictures themselves; name another folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    seconds, done = 0.0, 0
    for path in files:
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)  # turned as its EXIF orientation says
        if picture is None or picture.dtype != "uint8":
            fault = "is no picture, or damaged" if picture is None else "has more than 8 bits per channel: convert it"
            print(f"{path}: {fault}; left out", file=sys.stderr)
            continue
        image = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        start = time.perf_counter()
        predictions = network.predict(image, image.shape[:2])
        seconds += time.perf_counter() - start
        done += 1
        panel = cv2.cvtColor(draw(network.decoder, image, predictions), cv2.COLOR_RGB2BGR)
        if not cv2.imwrite(str(out / f"{path.name}.png"), panel):
            raise DeployError(f"{out}: cannot be written")
        for task in predictions if arrays else ():
            np.save(out / f"{path.name}_{task}.npy", predictions[task])
    if not done:
        raise DeployError(f"{folder}: all {len(files)} pictures are damaged")
    print(f"{done} pictures, {seconds / done * 1e3:.1f} ms each without files, written to {out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a .tflite file, its model.json beside it")
    parser.add_argument("folder", type=Path, help="a folder of pictures (.jpg, .png)")
    parser.add_argument("--out", type=Path, default=Path("seen"), help="where a picture of each goes (default: seen)")
    parser.add_argument("--arrays", action="store_true", help="also write every prediction as a NumPy file (.npy)")
    parser.add_argument("--delegate", help="a library for other hardware, like libedgetpu.so.1")
    parser.add_argument("--threads", type=int, default=1, help="threads on the processor (default: 1)")
    try:
        main(**vars(parser.parse_args()))
    except (DeployError, cv2.error, OSError) as error:
        parser.error(str(error))
