"""An emulator of the API and of the data plane behind it, for demos and tests.

It is strict where the API is strict, has a mode for everything that is unknown about the API, and runs on a clock that
a test can set. It imports nothing from the rest of this package, so that a mistake about the API cannot cancel itself
out.
"""

from reconciler.emulator.bindings import Kind
from reconciler.emulator.clock import Clock, RealClock, VirtualClock
from reconciler.emulator.core import Emulator, Interceptor, Listener, LiveKey, Proceed
from reconciler.emulator.modes import Modes
from reconciler.emulator.seeding import SeedError, check_seed, load_seed, seed
from reconciler.emulator.server import EmulatorServer, create_app, serve
from reconciler.emulator.store import StoreError
from reconciler.emulator.wire import Answer, ConnectionLost, Request

__all__ = [
    "Answer",
    "Clock",
    "ConnectionLost",
    "Emulator",
    "EmulatorServer",
    "Interceptor",
    "Kind",
    "Listener",
    "LiveKey",
    "Modes",
    "Proceed",
    "RealClock",
    "Request",
    "SeedError",
    "StoreError",
    "VirtualClock",
    "check_seed",
    "create_app",
    "load_seed",
    "seed",
    "serve",
]
