"""What a broker says to those without a right to what they ask, in one clause."""


def missing_right(error: BaseException | type[BaseException]) -> str | None:
    """Return which right an error of a client library, or its cause, says is missing; else None."""
    kind = error if isinstance(error, type) else type(error)
    resource, failed, _ = kind.__name__.partition("AuthorizationFailed")
    if failed:
        return (
            f"a right to the {resource.lower()} is missing; docs/kafka-rights.md lists those of "
            "each verb"
        )
    cause = None if isinstance(error, type) else error.__cause__
    return None if cause is None else missing_right(cause)
