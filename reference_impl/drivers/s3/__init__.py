"""The S3 driver: any S3 server, asked through boto3 from worker threads.

**Files** are objects under their path.  Replacing one is one request, so it is atomic; what was answered
for is as durable as the server makes it.  There is no rename: `move` copies, then deletes, and a kill in
between leaves both names.

**Appending** (``appends``, ``state``, ``shelf``).  An unfinished file is an object, too: its body is the
file's tail, and its metadata say what comes before it, which is nothing, or parts of a multipart upload, or
the begin of another object (the base).  So a file shorter than a part needs no multipart upload, and looks
and moves like any other.  The tail is collected in a local file, which survives a kill; `sync` stores it in
the object.  Full parts are sent as they fill, all of one size up to number 8000, then 8 and 64 times as
large: 1.2 TiB with parts of 16 MiB; then OSError EFBIG.  A part has a number, so no request that is sent
twice adds anything twice.  To read or move such a file its upload is completed first.  What comes after a
completed upload (its digest was refused, say) makes it the base of another one, by copies on the server.
Uploads go to keys of their own below the scratch folder, which end in the path of the file they belong to.

**Folders** are what keys have in common, and markers (``path/``) for those that `make_folder` made.  Moving
or deleting one takes a request for each file, or for each thousand.  A kill in the middle leaves a part, so
order matters: what sorts first is deleted first, by a request of its own, and comes last when a folder is
moved.  For each use by the registry that is what decides whether there is anything:

* a tag is there if ``current/link`` is, which sorts before ``index/``. What is left without it is not
  listed and not found, and setting the tag again completes it;
* an upload session is there if ``data`` and ``startedat`` are; what is left of one goes with old sessions;
* a layer's or a revision's folder has one file.

**Times** (``leases``).  A server tells whole seconds, and copying changes them.  The collector condemns a
blob if its time is the one it noted before, so two things must never happen: a renewed lease that is not
seen, and a replaced blob with the same time.  Leases are therefore modification times of local files, in
nanoseconds, and the time of a path is the later of its object's and its lease's.  `touch` sets the lease
later than all of these.  Whatever replaces a file below the folder ``leased`` sets its lease, too, later
than the lease before and than any time that the server could have given until then, which its answer tells.
So the time of a path differs after each `touch` and each replacement, whatever the two clocks say.  A
listing reads all leases at its begin: one that is renewed while it goes on was noted too early, and that
spares the blob.

**One host.**  Locks, leases and unsynced tails are in a local folder that the server and the collector of
one host share (``coordination``); an object in the bucket says which folder that is, and any other one is
refused at the start (``owner``).  ``take_over`` replaces it, when the other registry is gone for good.
What it had not synced is gone with its host; what it had acknowledged is in the bucket.  Nobody may delete
the folder while it is in use.

**Failure.**  NotFound only if the server said that there is no such key.  A server that does not answer, a
bucket that is not there or may not be read is Unavailable (``bucket``).  After a kill, `clear_leftovers`
finds uploads, bases and scratch files that belong to nothing (``leftovers``).  A rule of the bucket that
aborts multipart uploads, or MinIO, which does that by itself after a day, ends the sessions they belonged
to: they are unknown then.
"""
