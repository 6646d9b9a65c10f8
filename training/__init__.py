"""The one training loop, its settings, and what a run leaves behind."""
