"""How object storage is asked: by obstore, again while it is out of reach, and with errors of one line."""
