"""What producers and consumers share: records, wire format, aggregation core and transports."""
