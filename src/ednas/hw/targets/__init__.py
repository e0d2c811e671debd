"""Hardware targets: the built-in files, reading and writing them, and fitting them to measurements."""
