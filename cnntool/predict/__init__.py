"""Trained models applied to pictures, and how well they do."""
