"""What people do: todos, timers, friends, daily reports, and points for it."""
