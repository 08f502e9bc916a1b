"""The formats that a snapshot can be exported to; a new one is a file of this room and a line."""

from downstream.exporters.circuit_tracer import CircuitTracerBinary, CircuitTracerJson
from downstream.exporters.columnar import Columnar
from downstream.exporters.delphi import Delphi
from downstream.exporters.exporter import Exporter
from downstream.exporters.html import Html
from downstream.exporters.neuronpedia import Neuronpedia
from downstream.exporters.saedashboard import SAEDashboard
from downstream.exporters.spd import Spd
from downstream.exporters.tables import Csv, JsonLines
from streams.errors import ExportError

EXPORTERS: tuple[Exporter, ...] = (
    Neuronpedia(),
    SAEDashboard(),
    Columnar(),
    Spd(),
    Delphi(),
    CircuitTracerJson(),
    CircuitTracerBinary(),
    Csv(),
    JsonLines(),
    Html(),
)


def find_exporter(name: str) -> Exporter:
    """Return the exporter of a format; raises ExportError, naming the formats there are."""
    for one in EXPORTERS:
        if one.name == name:
            return one
    known = ", ".join(one.name for one in EXPORTERS)
    raise ExportError(f"there is no format {name!r} (there are: {known})")
