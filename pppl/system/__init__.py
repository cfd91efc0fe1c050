"""What everything stands on: errors, files, progress, processes, memory, tracking. Knows nothing of the rest."""
