"""How series, trials, configurations and decisions are written down, exact to the last bit."""
