"""What crosses a boundary: frozen records, their Arrow schemas and their identities. Imports nothing of ours."""
