"""Readers that several importers share: text lines, tables, XML feeds, HTML."""
