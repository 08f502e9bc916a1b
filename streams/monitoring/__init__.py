"""What both ends tell those who run them: events in logs, metrics, and whether they live."""
