"""Which addresses and URLs a merchant may have us connect to."""

from __future__ import annotations

import pytest

from meterhouse.adapters.receivers.addresses import is_public
from meterhouse.adapters.receivers.urls import UrlRules


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255",
        "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.192", "192.0.2.1",
        "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.88.99.1", "224.0.0.1", "239.255.255.255",
        "240.0.0.1",        "255.255.255.255", "168.63.129.16",
        "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:93.184.215.14", "::ffff:0:93.184.215.14",
        "64:ff9b::a9fe:a9fe", "64:ff9b::5db8:d70e", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1",
        "2001:0:5ef5:79fb::1", "2002:7f00:1::1", "2002:a9fe:a9fe::1", "3fff::1", "fc00::1", "fd00:ec2::254",
        "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "5f00::1",
        "", "localhost", "example.com", "2130706433", "0x7f.1", "127.1", "93.184.215.014",
    ],
)  # fmt: skip
def test_what_is_not_of_the_whole_internet_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e"]
)
def test_what_everybody_reaches_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com", "https://example.com/hooks?a=b", "https://example.com:8443/x", "https://1.1.1.1/",
        "https://[2606:4700:4700::1111]/x", "https://xn--bcher-kva.example/",
    ],
)  # fmt: skip
def test_https_of_a_public_host_is_allowed(url: str) -> None:
    assert UrlRules().refusal(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com", "ftp://example.com", "file:///etc/passwd", "//example.com", "example.com", "https://",
        "https:///x", "https://user@example.com", "https://user:pass@example.com", "https://example.com#x",
        "https://example.com:0", "https://example.com:99999", "https://exa mple.com", "https://example.com\\@a",
        "https://bücher.example", "https://example.com/\n", "https://[::1", "https://127.0.0.1/",
        "https://[::1]/", "https://localhost/", "https://a.localhost./", "https://169.254.169.254/latest",
        "https://[::ffff:10.0.0.1]/", "https://10.1.2.3:443/",
    ],
)  # fmt: skip
def test_what_nothing_could_be_sent_to_is_refused(url: str) -> None:
    assert UrlRules().refusal(url) is not None


def test_tests_may_allow_more() -> None:
    assert UrlRules(allow_http=True, allow_private=True).refusal("http://127.0.0.1:9000/x") is None
    assert UrlRules(allow_private=True).refusal("http://127.0.0.1:9000/x") is not None
    assert UrlRules(allow_http=True).refusal("http://127.0.0.1:9000/x") is not None
