"""What the server takes: its settings, its tokens, and what it answers instead of images."""
