"""Readers of datasets, one file or folder a format; :mod:`ednas.data.reader` is what they have in common."""
