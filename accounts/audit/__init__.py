"""What the audit trail is told about accounts: by triggers, with who acted where that is known."""
