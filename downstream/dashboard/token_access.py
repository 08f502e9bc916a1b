"""Who may change something: those who send a token, once; a browser then keeps a cookie."""

import hashlib
import hmac

from aiohttp import web


class TokenAccess:
    """Knows who has a token. token: None lets nobody in. purpose: names the cookie.

    The cookie holds a mark that follows from the token, not the token; other sites cannot use it.
    """

    def __init__(self, token: str | None, purpose: str) -> None:
        self._token = token
        self._purpose = purpose
        self.cookie = f"millrace-{purpose}"

    @property
    def possible(self) -> bool:
        """Whether anybody may."""
        return bool(self._token)

    def knows(self, request: web.Request, given: str = "") -> bool:
        """Return whether a request comes from who knows the token."""
        if not self._token:
            return False
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        cookie = request.cookies.get(self.cookie, "")
        return any(
            hmac.compare_digest(one.encode(), wanted.encode())
            for one, wanted in ((given, self._token), (bearer, self._token), (cookie, self._mark()))
        )

    def remember(self, response: web.Response) -> None:
        """Let a browser show the mark from now on."""
        response.set_cookie(self.cookie, self._mark(), httponly=True, samesite="Strict", path="/")

    def _mark(self) -> str:
        """Return what a browser shows instead of the token, which it is not given back."""
        token, purpose = (self._token or "").encode(), self._purpose.encode()
        return hmac.new(token, purpose, hashlib.sha256).hexdigest()
