"""The embedded servers: PostgreSQL (primary, others, replica), Redis and MongoDB for one machine.

`devservers.sets.ServerSet` is the way in for tests and benchmarks, `python -m devservers` for
people. Nothing here imports Django or the settings: the servers start before settings are read.
"""
