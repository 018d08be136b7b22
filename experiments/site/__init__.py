"""Rooms that see all nouns: URLs, home, search, health, error pages."""
