"""Ablation: what each column is worth."""
