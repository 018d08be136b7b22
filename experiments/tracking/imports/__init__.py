"""Runs that other trackers recorded, read into one shape."""
