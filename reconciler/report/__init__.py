"""Plan and outcomes -> text and JSON. Nothing here prints: functions return strings, and cli writes them.

rich is imported only for tables and for live progress: `keyform plan` in a pipe starts without it.
"""
