"""Headers of every answer: no script but ours, no other site's frame or reading."""

from collections.abc import Sequence

_NOT_FRAMED = "frame-ancestors 'none'"
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; "
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def security_headers(embed_origins: Sequence[str] = ()) -> dict[str, str]:
    """Return the headers of an answer. embed_origins: sites whose pages may show it in a frame."""
    framed = f"frame-ancestors {' '.join(embed_origins)}" if embed_origins else _NOT_FRAMED
    return {
        **_HEADERS,
        "Content-Security-Policy": _POLICY + framed,
        "Cross-Origin-Resource-Policy": "cross-origin" if embed_origins else "same-origin",
    }
