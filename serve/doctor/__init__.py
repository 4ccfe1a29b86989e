"""What this machine can run, and the command that mends what it cannot."""
