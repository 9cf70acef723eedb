"""What keeps a store sound between runs: `packshot verify`, its repair, rollback and garbage collection."""
