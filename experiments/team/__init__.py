"""People, projects, tokens and messages: who may do what, and who is told."""
