"""What each picture command does to one file: read, filter, write.

A job is a frozen dataclass of plain values, so that threads, processes or another machine can run
it. The command line only makes jobs; the runner in :mod:`cnntool.folder` only calls them.
"""
