"""OAuth 2 and personal tokens: who may act for whom, for how long, and how that ends."""
