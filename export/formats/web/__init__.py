"""A generator as a folder that any static host serves: its visitors' browsers draw the images."""
