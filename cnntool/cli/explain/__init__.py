"""The commands below ``cnntool explain``, one a file; none loads NumPy before it runs."""
