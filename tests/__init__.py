"""The tests: `script/test` runs them on real servers."""
