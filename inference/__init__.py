"""Running a trained model over many rows."""
