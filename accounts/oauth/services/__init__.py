"""What can be done to clients, authorizations and tokens."""
