"""Draws what an exported model sees in a camera or a video: LiteRT, OpenCV, decode.py and draw.py, nothing else."""

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

try:
    import cv2
    from decode import DeployError, open_network
    from draw import draw, open_writer
except ImportError as missing:
    sys.exit(f"{missing}; pip install ai-edge-litert numpy opencv-python, and copy decode.py and draw.py, too")


def open_source(source: str) -> tuple[Callable[[], Any], float]:
    """Return what gives the next frame, or None, and the frames a second. Frames are BGR: the blue of a pixel first."""
    if source == "picamera":
        try:
            from picamera2 import Picamera2
        except ImportError as missing:
            raise DeployError(f"picamera: {missing}; sudo apt install python3-picamera2") from None
        camera = Picamera2()
        # libcamera names a format by a pixel's bytes from the last to the first: RGB888 is BGR, as OpenCV has it.
        camera.configure(camera.create_video_configuration({"format": "RGB888"}))
        camera.start()
        return camera.capture_array, 0.0
    video = cv2.VideoCapture(int(source) if source.isdigit() else source)
    return lambda: video.read()[1], video.get(cv2.CAP_PROP_FPS)


def main(model: str, source: str, out: str | None, delegate: str | None, threads: int) -> None:
    network = open_network(model, delegate, threads)
    next_frame, rate = open_source(source)
    size, writer, frames, start = network.decoder.input_size[::-1], None, 0, time.perf_counter()
    with suppress(KeyboardInterrupt):  # Ctrl-C is how a camera's film ends
        while (frame := next_frame()) is not None:
            image = cv2.cvtColor(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
            picture = cv2.cvtColor(draw(network.decoder, image, network.predict(image)), cv2.COLOR_RGB2BGR)
            frames += 1
            speed = f"{frames / (time.perf_counter() - start):.1f} frames/s"
            cv2.putText(picture, speed, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
            if out:
                writer = writer or open_writer(out, rate, picture.shape[1::-1])
                writer.write(picture)
                continue
            cv2.imshow(model, picture)
            if cv2.waitKey(1) == ord("q"):
                break
    if not frames:
        raise DeployError(f"{source}: no such camera or video, or no picture in it")
    print(f"{frames} frames, {speed}" + (f", written to {out}" if out else ""))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a .tflite file, its model.json beside it")
    parser.add_argument("--source", default="0", help="number of a camera, picamera, or a video file (default: 0)")
    parser.add_argument("--out", help="write a video (.mp4, .avi) instead of opening a window, which q closes")
    parser.add_argument("--delegate", help="a library for other hardware, like libedgetpu.so.1")
    parser.add_argument("--threads", type=int, default=1, help="threads on the processor (default: 1)")
    try:
        main(**vars(parser.parse_args()))
    except (DeployError, cv2.error) as error:
        parser.error(str(error))
