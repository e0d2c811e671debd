"""`python -m ednas` is `ednas`, for where the command is not on the PATH."""

from ednas.cli import main

if __name__ == "__main__":
    main()
