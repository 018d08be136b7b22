"""The experiment file: its keys, and every error in it at once."""
