"""Tests of the face: the API and the commands."""
