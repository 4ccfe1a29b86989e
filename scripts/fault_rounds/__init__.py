"""Rounds of `scripts/faults.py`: what befalls processes and stores, and what is checked after it."""
