"""The table of endpoints."""

from __future__ import annotations

from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from ..auth.base import Authorizer
from ..auth.none import Everyone
from ..registry.errors import Refusal
from ..registry.store import Registry
from .blobs import Blobs
from .catalog import Catalog
from .errors import refused
from .manifests import Manifests
from .referrers import Referrers
from .resource import Context, Handler, Limits, Resource
from .tags import Tags
from .uploads import Uploads


def build(
    registry: Registry, *, authorizer: Authorizer | None = None, limits: Limits | None = None
) -> Router:
    """Return the ASGI app that serves a registry."""
    context = Context(registry, authorizer or Everyone(), limits or Limits())
    blobs, uploads, tags = Blobs(context), Uploads(context), Tags(context)
    manifests, referrers, catalog = Manifests(context), Referrers(context), Catalog(context)

    session: dict[str, Handler] = {
        "GET": uploads.status,
        "HEAD": uploads.status,
        "PATCH": uploads.send,
        "PUT": uploads.finish,
        "DELETE": uploads.cancel,
    }
    blob: dict[str, Handler] = {"GET": blobs.pull, "HEAD": blobs.look, "DELETE": blobs.delete}
    manifest: dict[str, Handler] = {
        "GET": manifests.pull,
        "HEAD": manifests.look,
        "PUT": manifests.push,
        "DELETE": manifests.delete,
    }
    uploading: list[tuple[str, dict[str, Handler]]] = [
        ("/v2/{name:path}/blobs/uploads/", {"POST": uploads.begin}),
        ("/v2/{name:path}/blobs/uploads", {"POST": uploads.begin}),
        ("/v2/{name:path}/blobs/uploads/{session}", session),
    ]
    table: list[tuple[str, dict[str, Handler]]] = [
        ("/v2/", {"GET": catalog.ping, "HEAD": catalog.ping}),
        ("/v2", {"GET": catalog.ping, "HEAD": catalog.ping}),
        ("/v2/_catalog", {"GET": catalog.repositories, "HEAD": catalog.repositories}),
        ("/v2/_oci/ext/discover", {"GET": catalog.extensions, "HEAD": catalog.extensions}),
        ("/v2/{name:path}/blobs/{digest}", blob),
        ("/v2/{name:path}/manifests/{reference}", manifest),
        ("/v2/{name:path}/tags/list", {"GET": tags.show, "HEAD": tags.show}),
        ("/v2/{name:path}/referrers/{digest}", {"GET": referrers.show, "HEAD": referrers.show}),
    ]
    if context.authorizer.tokens is not None:
        from .token import Tokens

        tokens = Tokens(context, context.authorizer.tokens)
        table.append(("/token", {"GET": tokens.by_header, "POST": tokens.by_form}))
    routes = [
        # A session also belongs to whoever opened it: uploads look at that themselves.
        *(Route(path, Resource(context, handlers, admits=True)) for path, handlers in uploading),
        *(Route(path, Resource(context, handlers)) for path, handlers in table),
    ]
    return Router(routes, redirect_slashes=False, default=_unknown)


async def _unknown(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await refused([Refusal("ENDPOINT_UNKNOWN")])(scope, receive, send)
