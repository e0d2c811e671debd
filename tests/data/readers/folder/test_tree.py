"""Links in a folder are followed, circles end."""

from __future__ import annotations

from ednas.data.formats import open_dataset
from ednas.data.readers.folder.tree import Tree


def test_linked_folders_are_read_and_circles_end(root):
    images = root / "pictures" / "train" / "image"
    count = len(open_dataset(root))
    elsewhere = images.rename(root / "elsewhere")
    images.mkdir()
    (images / "sub").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(images)
    for name in ("label", "depth", "normal"):
        folder = next(path for path in (root / "pictures" / "train").iterdir() if path.name.startswith(name))
        inner = folder.rename(root / name)
        folder.mkdir()
        (folder / "sub").symlink_to(inner)
    dataset = open_dataset(root)
    assert len(dataset) == count
    assert dataset.source(0) == "train/image/sub/0.png"
    assert dataset[0].image.shape[2] == 3


def test_two_links_to_one_folder_are_both_read(root):
    images = root / "pictures" / "train" / "image"
    count = len(open_dataset(root))
    elsewhere = images.rename(root / "elsewhere")
    images.mkdir()
    for name in ("a", "b"):
        (images / name).symlink_to(elsewhere)
    tree = Tree(root / "pictures")
    assert len(list(tree.files("train/image"))) == 2 * count
