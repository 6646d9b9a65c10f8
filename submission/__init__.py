"""Checking and packing what goes to the leaderboard. No Paddle."""
