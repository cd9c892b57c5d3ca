"""Backup and restore: every database once and MongoDB's collections, with a manifest as proof.

`making` writes a backup, `checking` proves one, `restoring` puts one back. What other apps must do
after a restore they register in `listeners`. `history` keeps who made which backup, `keeping`
removes old ones and tells when there is no new one.
"""
