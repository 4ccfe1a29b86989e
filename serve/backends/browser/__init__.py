"""A browser without a screen as a runtime: it opens an exported page's worker, as a visitor's browser does."""
