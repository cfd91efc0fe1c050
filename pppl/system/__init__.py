"""The foundation of the package: errors, files, progress, processes, memory, tracking. It imports no other part."""
