"""An experiment before its first trial: its document, search space, review and follow-ups."""
