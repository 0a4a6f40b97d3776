"""Labelled pictures to learn from: built in, in folders, in files of others."""
