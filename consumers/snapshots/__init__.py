"""What comes out: tables, parts and manifests."""
