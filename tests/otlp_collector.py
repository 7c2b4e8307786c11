"""An OpenTelemetry collector that keeps the spans it is sent, on the loopback."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from types import TracebackType
from typing import Any, Final, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

_PATIENCE: Final = 60.0


@dataclass(frozen=True, slots=True)
class SentSpan:
    """A span as it came over the wire; ids are hexadecimal, `parent` is empty for a root."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    kind: int
    failed: bool
    attributes: dict[str, str | int] = field(hash=False)
    links: tuple[tuple[str, str], ...]


class Collector:
    """Listens from its construction on, until the end of a `with`."""

    def __init__(self) -> None:
        self._spans: list[SentSpan] = []
        self._changed = Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                assert self.path == "/v1/traces"
                collector._take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.end_headers()
                self.wfile.write(ExportTraceServiceResponse().SerializeToString())

            def log_message(self, format: str, *args: Any) -> None:
                """Silence."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process send its spans here, soon."""
        port = self._server.server_address[1]
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_BSP_SCHEDULE_DELAY": "50"}

    def spans(self) -> Sequence[SentSpan]:
        """All that came so far."""
        with self._changed:
            return tuple(self._spans)

    def wait_for(self, wanted: Callable[[SentSpan], bool]) -> SentSpan:
        """The first span that is wanted; AssertionError with all there are when it does not come."""
        deadline = time.monotonic() + _PATIENCE
        with self._changed:
            while True:
                for span in self._spans:
                    if wanted(span):
                        return span
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError("it did not come; these did:\n" + "\n".join(map(str, self._spans)))
                self._changed.wait(left)

    def _take(self, request: ExportTraceServiceRequest) -> None:
        found = [
            SentSpan(
                service=_attributes(resource.resource.attributes)["service.name"],  # type: ignore[arg-type] # it is text
                name=span.name,
                trace=span.trace_id.hex(),
                id=span.span_id.hex(),
                parent=span.parent_span_id.hex(),
                kind=span.kind,
                failed=span.status.code == 2,
                attributes=_attributes(span.attributes),
                links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
            )
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        with self._changed:
            self._spans += found
            self._changed.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_PATIENCE)


def _attributes(pairs: Any) -> dict[str, str | int]:
    return {
        pair.key: pair.value.int_value if pair.value.HasField("int_value") else pair.value.string_value
        for pair in pairs
    }
