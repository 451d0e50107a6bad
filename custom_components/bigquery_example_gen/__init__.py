"""BigQueryExampleGen with a seeded split that keeps groups together."""
