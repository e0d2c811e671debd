"""Export formats, one file each: what it registers in :mod:`ednas.export.converter` is all that is particular to it."""
