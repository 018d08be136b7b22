"""What sees all nouns: addresses, home, search, health, error pages."""
