"""Ways to share a backbone between tasks. One file a method; see :mod:`ednas.nn.sharing`."""
