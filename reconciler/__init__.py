"""keyform: declare inference API keys in a file; plan, apply and rotate them without a state file.

The package holds the stages described in the README, one module or folder for each. Importing it costs nothing: each
stage is imported where it is used, and heavy libraries only by the stage that needs them.
"""

__version__ = "0.1.0"
