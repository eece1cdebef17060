"""Removing content that nothing refers to, also while a registry serves the same store.

Why nothing that an accepted manifest refers to is lost: the collector first notes when each blob
was last leased, and then waits once for every publisher at work.  A manifest accepted before that
is seen by the mark.  One accepted later renewed the leases of all it refers to, under a lock that
excludes condemnation; so the lease differs from the note, and the blob is left alone.  No clock is
involved.  Condemned content is only set aside until a second mark has confirmed the first.
"""
