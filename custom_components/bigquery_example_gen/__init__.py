"""ExampleGen for BigQuery with a seeded split that keeps groups together."""
