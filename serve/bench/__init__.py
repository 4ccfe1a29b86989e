"""How fast artifacts are here: side by side, as text and as a page."""
