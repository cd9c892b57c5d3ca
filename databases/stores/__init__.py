"""The doors to MongoDB and Redis: the only modules that import their drivers."""
