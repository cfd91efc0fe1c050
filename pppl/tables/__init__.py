"""Rows in, tables out: the schema, the journal, statistics. Knows no torch."""
