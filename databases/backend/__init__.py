"""Django's PostgreSQL backend with what many databases need: breakers, write detection, forks."""
