"""The token endpoint (Distribution's token authentication specification, and its OAuth 2 form)."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..auth.base import Unauthorized
from ..auth.token import AnotherService, Grant, TokenIssuer
from ..registry.errors import Refusal
from .body import Disconnected, whole
from .resource import Context

_FORM_MAX_BYTES = 64 << 10
_NOT_STORED = {"Cache-Control": "no-store"}


class Tokens:
    def __init__(self, context: Context, issuer: TokenIssuer) -> None:
        self._context = context
        self._issuer = issuer

    async def by_header(self, request: Request) -> Response:
        """``GET ?service=&scope=`` with basic credentials, or none for anonymous."""
        query = request.query_params

        def grant() -> Grant:
            account = self._issuer.login(request.headers)
            return self._issuer.grant(account, query.get("service"), query.getlist("scope"))

        try:
            return _granted(await self._context.vet(grant))
        except AnotherService:
            raise Refusal("SERVICE_UNKNOWN", {"service": query.get("service", "")[:200]}) from None

    async def by_form(self, request: Request) -> Response | None:
        """``POST`` with a form: the grant type ``password`` of OAuth 2 (RFC 6749, 4.3)."""
        try:
            body = await whole(request, _FORM_MAX_BYTES, self._context.limits)
        except Disconnected:
            return None
        except Refusal as refusal:
            if refusal.reason == "MANIFEST_TOO_LARGE":
                return _oauth_error("invalid_request", f"the form is longer than {_FORM_MAX_BYTES} bytes")
            raise
        form = {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
        if form.get("grant_type") != "password":
            return _oauth_error("unsupported_grant_type", "there is only the grant_type password")
        if "username" not in form or "password" not in form:
            return _oauth_error("invalid_request", "username and password are needed")

        def grant() -> Grant:
            account = self._issuer.check(form["username"], form["password"])
            return self._issuer.grant(account, form.get("service"), [form.get("scope", "")])

        try:
            return _granted(await self._context.vet(grant))
        except Unauthorized:
            return _oauth_error("invalid_grant", "the user name or the password is wrong")
        except AnotherService:
            return _oauth_error("invalid_request", "tokens for another service are not issued here")


def _granted(grant: Grant) -> Response:
    said: dict[str, Any] = {
        "token": grant.token,
        "access_token": grant.token,
        "token_type": "Bearer",
        "expires_in": grant.lifetime_s,
        "issued_at": grant.issued_at,
        "scope": grant.scope,
    }
    return JSONResponse(said, headers=_NOT_STORED)


def _oauth_error(code: str, description: str) -> Response:
    said = {"error": code, "error_description": description}
    return JSONResponse(said, status_code=400, headers=_NOT_STORED)
