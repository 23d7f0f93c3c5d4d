"""Requests that two servers in a row could read differently are refused, and nothing after them is read."""

from __future__ import annotations

import pytest

from tests.http.echoing import answers_in, listening
from tests.rest.scripted import serving

_POST = b"POST /a HTTP/1.1\r\nHost: x\r\n"
_SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
_AT_ONCE = {
    "length twice": _POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "two lengths": _POST + b"Content-Length: 0\r\nContent-Length: 36\r\n\r\n",
    "list of lengths": _POST + b"Content-Length: 2, 2\r\n\r\n{}",
    "signed length": _POST + b"Content-Length: +2\r\n\r\n{}",
    "negative length": _POST + b"Content-Length: -2\r\n\r\n{}",
    "length of hex": _POST + b"Content-Length: 0x2\r\n\r\n{}",
    "length of nothing": _POST + b"Content-Length:\r\n\r\n",
    "length with a space inside": _POST + b"Content-Length: 1 0\r\n\r\n{}",
    "length too large to count": _POST + b"Content-Length: 99999999999999999999\r\n\r\n",
    "length and chunks": _POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": _POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "chunked is not last": _POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "space before the colon": _POST + b"Content-Length : 2\r\n\r\n{}",
    "tab before the colon": _POST + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "folded value": b"GET /a HTTP/1.1\r\nHost: x\r\nX-A: b\r\n Content-Length: 9\r\n\r\n",
    "folded first line": b"GET /a HTTP/1.1\r\n Host: x\r\n\r\n",
    "folded coding": _POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "bare line feeds": b"GET /a HTTP/1.1\nHost: x\n\n",
    "one bare line feed": b"GET /a HTTP/1.1\r\nHost: x\nX-A: b\r\n\r\n",
    "bare line feed at the end": b"GET /a HTTP/1.1\r\nHost: x\r\n\n",
    "bare carriage return": b"GET /a HTTP/1.1\r\nHost: x\rX-A: b\r\n\r\n",
    "NUL in a value": b"GET /a HTTP/1.1\r\nHost: x\r\nX-A: b\x00c\r\n\r\n",
    "NUL in a name": b"GET /a HTTP/1.1\r\nHost: x\r\nX-\x00A: b\r\n\r\n",
    "name of nothing": b"GET /a HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",
    "line without a colon": b"GET /a HTTP/1.1\r\nHost: x\r\nnothing\r\n\r\n",
    "non-ASCII name": b"GET /a HTTP/1.1\r\nHost: x\r\nX-\xe9: b\r\n\r\n",
    "space in the target": b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    "unknown version": b"GET /a HTTP/1.2\r\nHost: x\r\n\r\n",
    "version of letters": b"GET /a HTTP/x.y\r\nHost: x\r\n\r\n",
    "another protocol": b"GET /a FTP/1.0\r\nHost: x\r\n\r\n",
    "unknown method": b"GETS /a HTTP/1.1\r\nHost: x\r\n\r\n",
    "small letters": b"get /a HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40,
}
_INSIDE = {
    "no chunk size": b"\r\n{}\r\n0\r\n\r\n",
    "letters": b"zz\r\n{}\r\n0\r\n\r\n",
    "negative": b"-2\r\n{}\r\n0\r\n\r\n",
    "0x": b"0x2\r\n{}\r\n0\r\n\r\n",
    "space after the size": b"2 \r\n{}\r\n0\r\n\r\n",
    "line feed after the size": b"2\n{}\r\n0\r\n\r\n",
    "line feed after the chunk": b"2\r\n{}\n0\r\n\r\n",
    "longer than said": b"2\r\n{}{}\r\n0\r\n\r\n",
    "too large to count": b"fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "bare line feed in an extension": b"2;a\nb\r\n{}\r\n0\r\n\r\n",
    "endless extension": b"2;" + b"a" * 50_000 + b"\r\n{}\r\n0\r\n\r\n",
    "endless trailers": b"0\r\n" + b"X-A: bbbbbbbbbbbbbbbbbbbbbbb\r\n" * 2_000 + b"\r\n",
}
_BY_THE_BRIDGE = {
    "unknown coding": b"Host: x\r\nTransfer-Encoding: xchunked\r\n",
    "chunks twice": b"Host: x\r\nTransfer-Encoding: chunked, chunked\r\n",
    "chunks in two lines": b"Host: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "identity, then chunks": b"Host: x\r\nTransfer-Encoding: identity, chunked\r\n",
    "vertical tab": b"Host: x\r\nTransfer-Encoding: \x0bchunked\r\n",
    "quoted": b'Host: x\r\nTransfer-Encoding: "chunked"\r\n',
    "no host": b"Content-Length: 0\r\n",
    "two hosts": b"Host: x\r\nHost: y\r\nContent-Length: 0\r\n",
    "host with a space": b"Host: x y\r\nContent-Length: 0\r\n",
    "host with a path": b"Host: x/y\r\nContent-Length: 0\r\n",
    "two credentials": b"Host: x\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\nContent-Length: 0\r\n",
    "h2c with length and chunks": b"Host: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n"
    b"Transfer-Encoding: chunked\r\n",
}


@pytest.mark.parametrize("name", _AT_ONCE)
async def test_a_head_that_is_none_is_400_and_the_end(name: str) -> None:
    async with listening() as served:
        answers = answers_in(await served.ask(_AT_ONCE[name] + _SMUGGLED))
        assert [status for status, _ in answers] == [400]
        assert "/smuggled" not in served.targets


@pytest.mark.parametrize("name", _INSIDE)
async def test_a_body_that_is_framed_wrongly_is_the_end(name: str) -> None:
    head = b"POST /v1/things HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving() as served:
        answer = await served.raw(head + _INSIDE[name] + _SMUGGLED, to_end=True)
        assert [status for status, _ in answers_in(answer)] == [400]
        assert served.caller.calls == []


@pytest.mark.parametrize("name", _BY_THE_BRIDGE)
async def test_framing_that_the_bridge_refuses_is_400_and_the_end(name: str) -> None:
    head = b"POST /v1/things HTTP/1.1\r\n" + _BY_THE_BRIDGE[name] + b"\r\n0\r\n\r\n"
    async with serving() as served:
        answer = await served.raw(head + _SMUGGLED, to_end=True)
        assert [status for status, _ in answers_in(answer)] == [400]
        assert served.caller.calls == []


async def test_good_requests_before_a_broken_one_are_answered_first() -> None:
    good = b"GET /good HTTP/1.1\r\nHost: x\r\n\r\n"
    async with listening() as served:
        answers = answers_in(await served.ask(good + good + _AT_ONCE["bare line feeds"] + _SMUGGLED))
        assert [status for status, _ in answers] == [200, 200, 400]


async def test_nothing_is_read_after_a_request_that_ends_its_connection() -> None:
    async with listening() as served:
        last = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        assert len(answers_in(await served.ask(last + _SMUGGLED))) == 1
        assert served.targets == ["/last"]


async def test_a_request_through_a_tunnel_is_not_smuggled() -> None:
    async with listening() as served:
        await served.ask(b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n" + _SMUGGLED)
        assert "/smuggled" not in served.targets
