"""One service in a process of its own, against a broker, a registry and a store that run already.

Each has its module, so that a process imports what it needs and no more: a gateway, no database and no web server.
"""
