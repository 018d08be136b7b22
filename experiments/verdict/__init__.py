"""Replications: fresh seeds, their evidence and the verdict computed from it."""
