"""Fine-tuning on GLUE and writing the leaderboard's files."""
