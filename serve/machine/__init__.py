"""What this machine has: cores, GPU, other hardware, installed packages."""
