"""StatisticsGen that reads whole batches."""
