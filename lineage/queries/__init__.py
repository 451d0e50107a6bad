"""Questions to ML Metadata: functions from a reader to a record of :mod:`lineage.queries.results`."""
