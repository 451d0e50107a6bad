"""Evaluator whose metrics process all rows of a slice in a batch at once."""
