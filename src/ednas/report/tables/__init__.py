"""Tables for the terminal: one file a family."""
