"""StatisticsGen that reads in batches."""
