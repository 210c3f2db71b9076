"""The one place that knows asyncssh: two connections and their channels, as plain calls and callbacks.

Everything above this package speaks of channels, words and bytes, so that the library, or the bridge from
asyncio to trio below it, can be replaced here alone. It reaches into asyncssh's private parts on purpose (a
gateway must see each request and reply in order, which the public API hides); that is why the distribution
pins the minor version and `tests/test_ssh_link.py` fails first when one of those parts moves.
"""
