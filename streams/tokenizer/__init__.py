"""A model's tokenizer: loading it, texts to ids, and the text that each id shows. No torch."""
