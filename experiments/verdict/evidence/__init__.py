"""Evidence from replicates, shared by pages, API and decisions."""
