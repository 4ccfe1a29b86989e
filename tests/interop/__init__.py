"""Artifacts in other people's runtimes and tools, as they are: what each makes of them, or why it refuses."""
