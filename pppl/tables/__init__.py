"""Tables of results: their schema, the journal of finished rows, and statistics. Importing it loads no torch."""
