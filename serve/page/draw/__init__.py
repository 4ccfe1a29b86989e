"""The page to draw with: one page, whose images a server makes, or the visitor's own browser."""
