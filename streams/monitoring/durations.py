"""Times left, for people."""


def duration(seconds: float) -> str:
    """Return seconds as ``42s``, ``3m 20s`` or ``5h 07m``; days as hours."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
