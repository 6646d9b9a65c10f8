"""Scores of predictions, their averages, and whether two differ. No Paddle."""
