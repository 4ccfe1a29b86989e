"""Connections: the address, the protocol with its time limits, and uvicorn."""
