"""What bends Faust: its app, consumer, tables, sends and commits, as exactness needs them."""
