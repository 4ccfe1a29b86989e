"""Named training configurations, as YAML files."""
