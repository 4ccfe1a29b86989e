"""The project as a whole: its rooms, its packages, its documentation."""
