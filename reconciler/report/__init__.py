"""Plan and outcomes -> text and JSON. Nothing here prints: functions give strings, and cli writes them.

rich is imported inside the functions that draw with it: `keyform plan` in a pipe starts without.
"""
