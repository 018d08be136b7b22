"""Wires the parts together; nothing else imports it."""
