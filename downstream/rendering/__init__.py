"""Pages of a snapshot as HTML: served by the dashboard, written as files by an exporter."""
