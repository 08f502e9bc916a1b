"""Apache Kafka: its clients, connections, log reader and producer, and Faust's transport on it."""
