"""Image filters, HOG features and small convolutional networks: a command line and a library.

This module holds the version and nothing else: ``cnntool --help`` must not load NumPy.
The library's doors are :mod:`cnntool.filters` and :mod:`cnntool.images`.
"""

__version__ = "0.1.0"
