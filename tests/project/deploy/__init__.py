"""What is in deploy/: by the tool that reads it where that is installed, and by what it promises everywhere."""
