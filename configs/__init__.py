"""What a run is told: the schema, and the presets, scenes, backgrounds, colours and channels beside it."""
