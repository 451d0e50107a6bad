"""ExampleGen for CSV, Parquet and TFRecord: streamed by Arrow, with a seeded split that keeps groups together."""
