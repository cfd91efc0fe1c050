"""Tables of results: their schema, the journal of finished rows, and statistics. Importing it does not load torch."""
