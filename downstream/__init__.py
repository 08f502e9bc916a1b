"""What reads finished snapshots: needs neither torch, Faust nor Kafka."""
