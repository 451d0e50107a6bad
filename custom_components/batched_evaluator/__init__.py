"""Evaluator that hands TFMA's metrics the rows of a slice together."""
