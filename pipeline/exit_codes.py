"""Exit codes of both runners."""

OK, FAILED, REFUSED, ANOMALIES, NOT_BLESSED = range(5)
INTERRUPTED = 130
# By the status of a run, or of a check of a compiled pipeline.
BY_STATUS = {"pushed": OK, "partial": OK, "failed": FAILED, "anomalies": ANOMALIES, "not_blessed": NOT_BLESSED}
