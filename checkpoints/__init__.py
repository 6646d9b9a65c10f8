"""The model folder: Hugging Face's layout, names and orientation, read and written."""
