"""Servers: Prefect's, with the forms and the schedule, and the galleries beside it."""
