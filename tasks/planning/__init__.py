"""The parts of the stage `plan`: which rows have changed, their photos, what the store holds, and what it lacks."""
