"""Doors for programs that run trials outside Verdict's workers."""
