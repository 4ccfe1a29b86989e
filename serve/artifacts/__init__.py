"""Exported files: their formats, what they say of themselves, and which one a command means."""
