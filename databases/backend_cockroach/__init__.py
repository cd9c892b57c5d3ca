"""The CockroachDB backend, chosen by `cockroachdb://`, with breakers and write detection."""
