"""Real servers on loopback for the tests, each in its own process or thread, ended by whoever started it."""
