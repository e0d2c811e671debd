"""A plain folder of pictures without labels, as it is enough to calibrate an int8 model with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ednas.config import StrictModel
from ednas.data.formats import FORMATS
from ednas.data.rasters import SUFFIXES, Array, read_image
from ednas.data.reader import IMAGE, FileReader
from ednas.data.sample import DatasetInfo


class Photos(FileReader):
    """The pictures of the folder ``root``, sorted by name; no targets.

    Raises:
        DataError: There is no picture.
    """

    def __init__(self, root: Path) -> None:
        info = DatasetInfo(root.resolve().name, "photos")
        records = [{IMAGE: name} for name in _pictures(root)]
        super().__init__(root=root, split="train", info=info, records=records, options=StrictModel())

    def _load(self, part: str, record: Mapping[str, str]) -> Array:
        return read_image(self._root / record[part])


def _pictures(root: Path) -> list[str]:
    visible = (path for path in root.iterdir() if not path.name.startswith("."))
    return sorted(path.name for path in visible if path.suffix.lower() in SUFFIXES and path.is_file())


def find_photos(path: str | Path) -> Photos | None:
    """Return the pictures of a plain folder; None where there are none, or a dataset of a known format is there."""
    folder = Path(path)
    if not folder.is_dir() or not _pictures(folder) or any(entry.find(folder) for entry in FORMATS.values()):
        return None
    return Photos(folder)
