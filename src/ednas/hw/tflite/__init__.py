"""The TFLite file format: reading layer graphs from files, and writing them as files."""
