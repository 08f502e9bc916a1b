from tests.producers.conftest import folder

__all__ = ["folder"]
