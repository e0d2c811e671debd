"""Networks as ncnn describes them: its ``.param`` files, which hold layers and shapes and no weights."""
