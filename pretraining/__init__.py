"""Pre-training on plain text: replaced-token detection, and learning from a larger network."""
