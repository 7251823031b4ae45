"""Plan and outcomes -> text and JSON. Nothing here prints: functions give strings, and cli writes them.

rich is imported for tables and for live progress alone: `keyform plan` in a pipe starts without.
"""
