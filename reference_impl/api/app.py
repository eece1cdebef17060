"""The table of endpoints."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from ..auth.base import Authorizer
from ..auth.none import Everyone
from ..registry.errors import Refusal
from ..registry.store import Registry
from .blobs import Blobs
from .catalog import Catalog
from .errors import refused
from .health import Health
from .limits import Limits
from .manifests import Manifests
from .observe import Observed, Watcher, log_access
from .referrers import Referrers
from .resource import Context, Handler, Resource
from .tags import Tags
from .uploads import Uploads


def build(
    registry: Registry,
    *,
    authorizer: Authorizer | None = None,
    limits: Limits | None = None,
    read_only: bool = False,
    metrics: Handler | None = None,
    watchers: Sequence[Watcher] = (),
) -> ASGIApp:
    """Return the ASGI app that serves a registry.

    ``metrics`` answers ``/metrics``, if that is to be public.  ``watchers`` see each request when it is over.
    """
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
        ("/v2/", _reading(catalog.ping)),
        ("/v2", _reading(catalog.ping)),
        ("/v2/_catalog", _reading(catalog.repositories)),
        ("/v2/_oci/ext/discover", _reading(catalog.extensions)),
        ("/v2/{name:path}/blobs/{digest}", blob),
        ("/v2/{name:path}/manifests/{reference}", manifest),
        ("/v2/{name:path}/tags/list", _reading(tags.show)),
        ("/v2/{name:path}/referrers/{digest}", _reading(referrers.show)),
    ]
    if context.authorizer.tokens is not None:
        from .token import Tokens

        tokens = Tokens(context, context.authorizer.tokens)
        table.append(("/token", {"GET": tokens.by_header, "POST": tokens.by_form}))
    health = Health(context)
    table += [("/healthz", _reading(health.alive)), ("/readyz", _reading(health.ready))]
    if metrics is not None:
        table.append(("/metrics", _reading(metrics)))

    def route(path: str, handlers: dict[str, Handler], *, admits: bool = False) -> Route:
        # Whoever asks for a token changes nothing, also by POST.
        withholds = read_only and path.startswith("/v2")
        pattern = path.replace(":path", "")
        return Route(path, Resource(context, handlers, pattern=pattern, admits=admits, read_only=withholds))

    # A session also belongs to whoever opened it: uploads look at that themselves.
    routes = [route(path, handlers, admits=True) for path, handlers in uploading]
    routes += [route(path, handlers) for path, handlers in table]
    router = Router(routes, redirect_slashes=False, default=_unknown)
    return Observed(router, watchers, identify=log_access in watchers) if watchers else router


def _reading(handler: Handler) -> dict[str, Handler]:
    return {"GET": handler, "HEAD": handler}


async def _unknown(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await refused([Refusal("ENDPOINT_UNKNOWN")])(scope, receive, send)
