"""An HTTP/1.1 client for providers: as much of HTTP as posting JSON and reading an answer takes, and no more.

A call over a kept connection costs a few microseconds: no timer, no task and no copy of its own. `transport` tells the
story; `connection` is one socket, `dialing` makes them, `proxies` says which way leads there.
"""
