"""ExampleGen for CSV, Parquet and TFRecord files, streamed by Arrow, with a seeded split that keeps groups together."""
