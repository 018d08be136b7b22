"""What replicates say: read, then think. Pages, API and the decision log share it."""
