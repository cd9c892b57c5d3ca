"""What people and clients are answered: consent, tokens, and the machines' endpoints."""
