"""``python -m cnntool`` is the command ``cnntool``."""

from cnntool.cli import main

if __name__ == "__main__":
    main()
