"""A run from its first step to its last: the loop, what is said and kept, and how it ends."""
