"""Servers, channels, conversations, and messages that survive either database."""
