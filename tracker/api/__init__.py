"""The tracker over HTTP. Todos, timers and reports are their owner's alone: 404 to anybody else."""
