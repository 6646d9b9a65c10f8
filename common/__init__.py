"""What every command shares: flags, exit codes, clear errors, whole files. No Paddle, no NumPy."""
