"""Steps counted in series of people: a method, a network, a data set and a task, each in one file."""
