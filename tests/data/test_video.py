"""Videos: written whole or not at all, and read as they were."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from ednas.data.rasters import resize_image
from ednas.data.video import Video, write_video
from ednas.exceptions import ConfigError, DataError, EdnasError

pytest.importorskip("cv2", reason="needs OpenCV: pip install opencv-python-headless")


def frames(count, size):
    """Smooth pictures, each another one, that survive compression."""
    random = np.random.default_rng(0)
    return [resize_image(random.integers(0, 256, (3, 4, 3), dtype=np.uint8), size) for _ in range(count)]


def test_what_is_written_is_read(tmp_path):
    given = frames(4, (65, 97))
    with write_video(tmp_path / "made" / "a.mp4", 12) as write:
        for frame in given:
            write(frame)
    video = Video(tmp_path / "made" / "a.mp4")
    found = list(video)
    assert (video.rate, len(found)) == (12, 4)
    for one, other in zip(given, found, strict=True):
        assert other.shape == (64, 96, 3)
        assert np.abs(one[:64, :96].astype(int) - other).mean() < 8  # red stays red
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["a.mp4"]


def test_a_video_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), write_video(tmp_path / "a.mp4", 12) as write:
        write(frames(1, (64, 96))[0])
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(EdnasError, match="cannot write"), write_video(tmp_path / "file" / "a.mp4", 12):
        pass


def test_what_is_no_video_is_named(tmp_path):
    with pytest.raises(DataError, match=r"a\.mp4: no such file"):
        Video(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_bytes(b"no video" * 100)
    with pytest.raises(DataError, match=r"b\.mp4: is no video that OpenCV can read"):
        list(Video(tmp_path / "b.mp4"))


def test_without_opencv_a_line_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "a.mp4").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ConfigError, match=r"a\.mp4: videos need OpenCV; pip install opencv-python-headless"):
        Video(tmp_path / "a.mp4")
