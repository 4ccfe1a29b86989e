"""What stands before every route: ids, hosts, tokens, sizes, the log, and one form for every error."""
