"""Training: recipes, the loop, what is kept of a run."""
