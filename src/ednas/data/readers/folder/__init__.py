"""A user's own images and labels, described by a ``dataset.yaml``.

.. code-block:: yaml

    name: My rooms
    root: ../pictures                   # optional: folder of all paths; default: the folder of this file
    image: "{split}/image/{id}.jpg"     # where the images are
    # pairs: "{split}.csv"              # instead of image, and of every path below: a CSV that names the files
    splits:                             # split: a subfolder, which takes the place of {split} ...
      train: train
      val: validation
      # val: val.txt                    # ... or a text file with one id a line (it ends in .txt)
      # val: "scene7_*"                 # ... or a pattern for ids (it has * or ?)
    # val_fraction: 0.1                 # instead of a val split: so much of train (or, without splits, of all
    # split_seed: 0                     #   images), drawn by id, the same on every machine
    targets:                            # any number, under any names
      segmentation:
        kind: labels
        path: "{split}/label/{id}.png"
        class_names: [floor, wall, thing]   # optional, where num_classes says how many there are
        num_classes: 3                  # optional, where names say it
        void: 255                       # stored ids without a class: a number, a list, or "rest" (all others)
        id_map: {7: 0, 8: 1, 11: 2}     # optional: stored id -> class
        divisor: 1000                   # optional, ids of instances: what is above are the ids / divisor, rounded down
      painted:
        kind: labels
        path: "{split}/painted/{id}_mask.png"
        colors:                         # class, by its name or number: its colour, or a list of them
          floor: [128, 64, 128]         # names number the classes, unless class_names do
          wall: [[70, 70, 70], [102, 102, 156]]
        ignore: [[0, 0, 0]]             # colours without a class: one, a list, or "rest" (all others)
      depth:
        kind: distance                  # or disparity
        path: "{split}/depth/{id}.png"
        scale: 0.001                    # stored value * scale = metres (a disparity: its own unit)
        invalid: 0                      # stored values without a measurement: a number or a list
        maximum: 80                     # optional: invalid beyond, after scaling
        unit: m                         # optional, for people
      normals:
        kind: normals
        path: "{split}/normal/{id}.png" # v / 127.5 - 1; an .npy may hold the components as floating point numbers
        axes: [r, g, b]                 # stored channels of our x (right), y (down), z (forward); -g turns one round
        invalid: [[128, 128, 128]]      # colours without a normal; grey is always invalid
        partial: true                   # of any target: a sample without this file has no label; default: an error

Images from several places, which may have different targets, are ``parts`` of one dataset. Each part holds what a
description without parts does, but for the name. Its samples have no label of the other parts' targets; a split has the
samples of all parts that name it.

.. code-block:: yaml

    name: Labelled rooms and scanned rooms
    parts:
      - {root: ../labelled, image: ..., splits: {train: train, val: val}, targets: {segmentation: ..., depth: ...}}
      - {root: ../scanned, image: ..., splits: {train: train}, targets: {depth: ...}}

A target must have the same kind, classes and unit in all parts. An image without a label of any target is an error, and
so is an image in two parts of a split.

An id is what ``{id}`` stands for in the path of an image; it may contain folders. The CSV of ``pairs`` has a column
``image`` and one of each target's name, with paths below the root; an empty cell is no label, and an id is the path of
an image. Files are PNG, JPEG or NPY; labels are not JPEG, which would blur their ids. Names are the same in any form of
Unicode.

Modules, from the bottom: ``targets`` (kinds of labels, and how one is read), ``description`` (the checked file),
``tree`` (names on disk), ``sources`` (the files of a split: patterns and pairs), ``reader``.
"""

from ednas.data.readers.folder.description import read_folder_config
from ednas.data.readers.folder.reader import FILE_NAME, FORMAT, Folder

__all__ = ["FILE_NAME", "FORMAT", "Folder", "read_folder_config"]
