"""How to reach a Kafka cluster: addresses, encryption, identity."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaServers:
    """Where the cluster is and who we are there. Its repr holds no password.

    `bootstrap` is `host:port`, several joined by commas. `security_protocol` is PLAINTEXT, SSL,
    SASL_PLAINTEXT or SASL_SSL; `sasl_mechanism` is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512. Without
    `ssl_cafile` the system's certificate authorities are trusted; `ssl_certfile` and `ssl_keyfile` are our
    own certificate.
    """

    bootstrap: str
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "PLAIN"
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    client_id: str = "meterhouse"

    def client_arguments(self) -> dict[str, Any]:
        """The keyword arguments that every client of aiokafka takes. Raises OSError for unreadable files."""
        return {
            "bootstrap_servers": self.bootstrap,
            "client_id": self.client_id,
            "security_protocol": self.security_protocol,
            "ssl_context": self._ssl_context(),
            "sasl_mechanism": self.sasl_mechanism,
            "sasl_plain_username": self.sasl_username,
            "sasl_plain_password": self.sasl_password,
        }

    def _ssl_context(self) -> ssl.SSLContext | None:
        if not self.security_protocol.endswith("SSL"):
            return None
        context = ssl.create_default_context(cafile=self.ssl_cafile)
        if self.ssl_certfile is not None:
            context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile)
        return context
