"""How a worker fares: progress, limits, dead letters and the watchdog."""
