"""Export, inference and serving of trained models."""
