"""One file a command; each holds ``command``. The table of them is in :mod:`cnntool.cli.main`."""
