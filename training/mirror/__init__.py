"""A run's copy in object storage: pushed while it trains, gone on with on another machine, read by other commands."""
