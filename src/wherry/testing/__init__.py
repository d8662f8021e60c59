"""Shipped tests: what anyone who adds an engine to Wherry runs against it.

    conformance   the suite every store must pass; start with its docstring
    strategies    hypothesis strategies of hostile records
    samples       deterministic batches
    faults        any store, made to fail; crash: processes that are killed
    obedient      a chat model that does whatever it reads
    qdrant_server, llamacloud_server
                  services on the loopback address that speak their documented interfaces

This package needs pytest and hypothesis (`pip install "wherry[test]"`); nothing else of Wherry
imports it.
"""

from __future__ import annotations

import sys

# Only under pytest: a process that is started to be killed should not pay for importing it.
if "pytest" in sys.modules:
    sys.modules["pytest"].register_assert_rewrite("wherry.testing.conformance")
