"""credproxy: a local daemon that answers credential helpers from memory.

The rooms, and the order to read them in. Imports only point down this list; the contract is in
``pyproject.toml`` (import-linter) and is a test.

* ``broker/broker.py`` and ``broker/era.py``: the whole use case. Then ``core/policy/routing.py``, ``core/ask/credential.py``,
  ``core/errors.py``, ``ports/``; the shortest provider with its exchange; ``gateway/gateway.py``; ``server/``;
  ``daemon/``, where all meet.

============  =================================================================================
cli           click commands; prints error + hint
daemon        composition root: configuration, task group, signals, reload, ready and stop
server        aiohttp: helper app, peer gate, listeners, error to status
gateway       OCI distribution: read, judge, send on with a credential that stays here, pour
broker        routing to an answer: cache, single flight, renewal, failures remembered
providers     one module per way to get a credential, unaware of one another
sources       stored secrets: docker configuration, netrc, environment, file, command
adapters      the world: clock, HTTP client, processes, files, metrics
ports         Protocols: what rooms ask of one another and of the world
exchange      pure conversations as generators: challenge, scope, realm, registry token
doctor        what is wrong with an installation, decided on facts that ``cli`` gathers
demo          embedded registry for the demo; shares no code with the rooms above
core          pure: config, policy, kinds, formats, ask (targets, credentials, messages), errors
helper        C source of credproxy-helper, and the Python fallback
============  =================================================================================
"""

__version__ = "0.1.0"
