"""What max-activating examples are ranked by: one file per ranking, listed in ``registry``."""
