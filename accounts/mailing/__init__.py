"""Letters to people: asked for in a transaction, written and sent by the workers."""
