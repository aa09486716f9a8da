"""The dashboard for programs: the same reads and acts as JSON, below /api/v1."""
