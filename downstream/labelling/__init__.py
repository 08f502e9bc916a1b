"""Labels of clusters made by programs and by language models, and scores of how good they are."""
