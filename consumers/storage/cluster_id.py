"""ClusterId: clustering run, iteration and label, and its text forms with ``-`` and with ``.``."""

from dataclasses import dataclass

SEPARATORS = ("-", ".")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterId:
    """What names a cluster among all clusterings."""

    clustering_run: str
    iteration: int
    cluster_label: int

    def to_tuple(self) -> tuple[str, int, int]:
        """Return its three parts."""
        return self.clustering_run, self.iteration, self.cluster_label

    def to_string(self, separator: str = "-") -> str:
        """Return its parts with a separator between.

        Raises ValueError for another separator than ``-`` and ``.``, and where a part holds it or a
        colon, so that the text could not be read again.
        """
        if separator not in SEPARATORS:
            raise ValueError(f"cluster ids are written with - or ., not with {separator!r}")
        parts = [str(part) for part in self.to_tuple()]
        for part in parts:
            if separator in part or ":" in part:
                raise ValueError(f"{part!r} is a part of a cluster id and holds {separator!r} or :")
        return separator.join(parts)

    @classmethod
    def from_string(cls, text: str) -> "ClusterId":
        """Return the cluster that a text of either form names.

        The run may hold the other separator. Raises ValueError for any other text.
        """
        found = []
        for separator in SEPARATORS:
            run, *numbers = text.rsplit(separator, 2)
            whole = len(numbers) == 2 and all(n.isascii() and n.isdecimal() for n in numbers)
            if whole and run and separator not in run and ":" not in run:
                iteration, label = map(int, numbers)
                found.append(cls(clustering_run=run, iteration=iteration, cluster_label=label))
        if len(found) != 1:
            raise ValueError(f"{text!r} is no cluster id such as run-100-7 or run.100.7")
        return found[0]
