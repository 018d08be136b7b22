"""Chart panels of an experiment, shared by pages and API."""
