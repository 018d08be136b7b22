"""Optuna on Verdict's tables: storage, samplers, pruners."""
