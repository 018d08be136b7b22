"""What an experiment's charts show: read, think, draw. Pages and API share it."""
