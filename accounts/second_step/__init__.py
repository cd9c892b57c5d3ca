"""The second step of signing in: a code of an app on the phone, or one of the recovery codes."""
