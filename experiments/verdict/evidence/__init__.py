"""Evidence from replicates: read, then judged; shared by pages, API and decisions."""
