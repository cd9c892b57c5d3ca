"""The tracker's pages. For whoever is signed in, about nobody else's todos, timers or reports."""
