"""Pages that carry everything they show and need no network: what the report and the benchmark are laid out with."""
