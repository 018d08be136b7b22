"""The decision log: entries, chain, champions, baselines, deployments."""
