"""The service: Wherry over HTTP, for tenants that hold keys.

app.py       the application, and serving it
settings.py  what an operator may set, with every limit
keys.py      keys of tenants, and the routes granted to them
access.py    the rules: who may call an endpoint; no endpoint is without one
core.py      routes, search, ask, collections, runs
sockets.py   web sockets: opening one, its messages, errors
around.py    what surrounds every request: size, time, log, numbers
limits.py    rate and number at a time, per key
failing.py   errors as HTTP answers
readers.py   open routes, shared by threads
warming.py   opening everything in the background after the start
logs.py      one JSON line per event
metrics.py   numbers for Prometheus
"""
