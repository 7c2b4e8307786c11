"""The published library of Standard Webhooks accepts what we sign, and nothing else."""

from __future__ import annotations

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from meterhouse.adapters.catalog.ids import new_secret
from meterhouse.adapters.clock import SystemClock
from meterhouse.domain.instant import HOUR
from meterhouse.domain.webhook_signature import signed_headers

PAYLOAD = '{"type":"grant.created","data":{"amount":1.10,"name":"\\u00fc ü"}}'


def test_the_library_verifies_a_signature() -> None:
    secret, now = new_secret(), SystemClock().now()
    headers = signed_headers("msg_1", now, PAYLOAD, [secret])
    assert Webhook(secret).verify(PAYLOAD, dict(headers))["type"] == "grant.created"


def test_either_secret_verifies_while_one_replaces_the_other() -> None:
    old, new = new_secret(), new_secret()
    headers = signed_headers("msg_1", SystemClock().now(), PAYLOAD, [new, old])
    for secret in (old, new):
        Webhook(secret).verify(PAYLOAD, dict(headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(PAYLOAD, dict(headers))


def test_a_forgery_is_noticed() -> None:
    secret, now = new_secret(), SystemClock().now()
    headers = dict(signed_headers("msg_1", now, PAYLOAD, [secret]))
    old = dict(signed_headers("msg_1", now - HOUR, PAYLOAD, [secret]))
    for forged, payload in (
        (headers, PAYLOAD.replace("1.10", "9.10")),
        (headers | {"webhook-id": "msg_2"}, PAYLOAD),
        (headers | {"webhook-timestamp": old["webhook-timestamp"]}, PAYLOAD),
        (old, PAYLOAD),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(payload, forged)


def test_secrets_are_long_and_never_the_same() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(one.startswith("whsec_") and len(one) == 6 + 44 for one in secrets)
