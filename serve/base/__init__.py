"""What every room stands on: errors, files that are whole or absent, folders with one owner, threads, progress."""
