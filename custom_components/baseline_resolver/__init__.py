"""Finds the baseline: the blessed model that a candidate is compared with."""
