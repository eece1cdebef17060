"""The reference registry: a small, safe OCI registry that shares CNCF Distribution's disk layout.

Storeys, each knowing only the one below: ``api`` (HTTP) → ``registry`` (OCI abstractions) →
``drivers`` (bytes under paths).  ``collect`` stands beside ``api`` and uses ``registry`` too.
"""
