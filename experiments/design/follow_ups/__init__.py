"""What to ask next: the file of an experiment that continues another, and what forbids one."""
