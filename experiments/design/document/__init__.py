"""What an experiment file may say, and what is wrong with what it says."""
