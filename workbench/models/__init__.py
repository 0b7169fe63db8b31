"""The only room that knows transformers: families, formats, layouts, captures and the embedder built on them."""
