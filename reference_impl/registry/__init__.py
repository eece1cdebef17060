"""OCI abstractions over a storage driver.  Knows nothing of HTTP."""
