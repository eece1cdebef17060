"""Who may do what.  The HTTP handlers ask an ``Authorizer`` before anything else."""
