"""Objects, tables and what a catalog points to: the only room that knows fsspec and deltalake."""
