"""The parts of the export: a folder of files, and cells of a table."""
