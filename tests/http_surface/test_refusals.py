"""What the running application refuses over HTTP: bad input, calls beyond its room, and who may not call."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai.types.realtime import ClientSecretCreateResponse

from tests.http_surface.client import error_of, http
from tests.servers.orchestrator import RunningOrchestrator, run_orchestrator
from tests.servers.triton import RunningTriton

SDP = {"Content-Type": "application/sdp"}


@pytest.fixture
async def guarded(triton: RunningTriton) -> AsyncIterator[RunningOrchestrator]:
    """One that asks for a key."""
    async with run_orchestrator(triton_url=triton.grpc_url, api_key="the-servers-key") as running:
        yield running


# Bad input.


async def test_a_wrong_content_type_is_told_what_is_right(ready: RunningOrchestrator) -> None:
    async with http(ready) as client:
        for kind in ("text/plain", "application/json", "multipart/mixed"):
            error = error_of(
                await client.post("/v1/realtime/calls", content=b"v=0", headers={"Content-Type": kind}), 400
            )
            assert "application/sdp" in error["message"]
        assert "missing" in error_of(await client.post("/v1/realtime/calls", content=b"v=0"), 400)["message"]


@pytest.mark.parametrize(
    "sdp", [b"", b"Hello", b"\xff\xfe", b"v=0\r\n", b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio x\r\n"]
)
async def test_a_malformed_offer_is_refused_and_leaves_no_session(ready: RunningOrchestrator, sdp: bytes) -> None:
    async with http(ready) as client:
        error = error_of(await client.post("/v1/realtime/calls", content=sdp, headers=SDP), 400)
        assert error["type"] == "invalid_request_error"
        assert (await client.get("/sessions")).json()["active_count"] == 0


async def test_an_offer_over_64_kib_is_too_large_however_it_is_sent(ready: RunningOrchestrator) -> None:
    large = b"v=0\r\n" + b"a=x\r\n" * 20_000

    async def chunks() -> AsyncIterator[bytes]:
        yield large

    async with http(ready) as client:
        error_of(await client.post("/v1/realtime/calls", content=large, headers=SDP), 413)
        error_of(await client.post("/v1/realtime/calls", content=chunks(), headers=SDP), 413)
        error_of(await client.post("/v1/realtime/calls", files={"sdp": (None, large)}), 413)
        error_of(await client.post("/v1/realtime/calls", files={"sdp": (None, large * 10)}), 413)
        session = (await client.post("/sessions", json={})).json()["session_id"]
        error_of(await client.post(f"/sessions/{session}/offer", json={"sdp": large.decode()}), 413)


async def test_a_form_is_checked_part_by_part(ready: RunningOrchestrator) -> None:
    async with http(ready) as client:

        async def refused(**parts: str) -> dict[str, Any]:
            form = {name: (None, text) for name, text in parts.items()}
            return error_of(await client.post("/v1/realtime/calls", files=form), 400)

        assert (await refused(session="{}"))["param"] == "sdp"
        assert "not valid JSON" in (await refused(sdp="v=0", session="loud"))["message"]
        assert (await refused(sdp="v=0", session='{"type": "poem"}'))["param"] == "session.type"
        speed = '{"type": "realtime", "audio": {"output": {"speed": 9}}}'
        assert (await refused(sdp="v=0", session=speed))["param"] == "session.audio.output.speed"
        broken = await client.post(
            "/v1/realtime/calls", content=b"no form", headers={"Content-Type": "multipart/form-data"}
        )
        error_of(broken, 400)


@pytest.mark.parametrize("path", ["/sessions", "/v1/realtime/client_secrets"])
async def test_a_body_that_is_no_json_object_is_refused(ready: RunningOrchestrator, path: str) -> None:
    async with http(ready) as client:
        for content in (b"{", b"[]", b"\xff", b"3"):
            error = error_of(
                await client.post(path, content=content, headers={"Content-Type": "application/json"}), 400
            )
            assert "JSON" in error["message"]
        error_of(await client.post(path, content=b"{}", headers={"Content-Type": "text/plain"}), 400)


async def test_half_of_a_surrogate_pair_is_refused_wherever_it_comes_in(ready: RunningOrchestrator) -> None:
    half = r'"\ud800"'
    instructions = f'{{"type": "realtime", "instructions": {half}}}'
    async with http(ready) as client:
        session = (await client.post("/sessions", json={})).json()["session_id"]
        for path, body, param in (
            ("/sessions", f'{{"system_prompt": {half}}}', "system_prompt"),
            ("/sessions", f'{{"session": {instructions}}}', "session.instructions"),
            ("/v1/realtime/client_secrets", f'{{"session": {instructions}}}', "session.instructions"),
            (f"/sessions/{session}/chat", f'{{"message": {half}}}', "message"),
            (f"/sessions/{session}/offer", f'{{"sdp": {half}}}', "sdp"),
            (f"/sessions/{session}/ice-candidate", f'{{"candidate": {half}}}', "candidate"),
        ):
            answer = await client.post(path, content=body, headers={"Content-Type": "application/json"})
            error = error_of(answer, 400)
            assert error["param"] == param
            assert "surrogate" in error["message"]
        form = {"sdp": (None, "v=0"), "session": (None, instructions)}
        assert error_of(await client.post("/v1/realtime/calls", files=form), 400)["param"] == "session.instructions"
        # UTF-7, of all charsets, has halves of surrogate pairs.
        body = b'--x\r\nContent-Disposition: form-data; name="sdp"\r\n\r\n+2AA-\r\n--x--\r\n'
        headers = {"Content-Type": "multipart/form-data; boundary=x; charset=utf-7"}
        assert error_of(await client.post("/v1/realtime/calls", content=body, headers=headers), 400)["param"] == "sdp"


async def test_the_extensions_are_on_or_off(ready: RunningOrchestrator) -> None:
    async with http(ready) as client:
        answer = await client.post("/v1/realtime/calls?goassist_events=maybe", content=b"v=0", headers=SDP)
        assert error_of(answer, 400)["param"] == "goassist_events"


async def test_unknown_calls_and_paths_are_not_found(ready: RunningOrchestrator) -> None:
    async with http(ready) as client:
        for method, path in (
            ("POST", "/v1/realtime/calls/rtc_none/hangup"),
            ("DELETE", "/v1/realtime/calls/rtc_none"),
            ("GET", "/sessions/none"),
            ("DELETE", "/sessions/none"),
            ("POST", "/sessions/none/offer"),
            ("POST", "/sessions/none/chat"),
            ("POST", "/sessions/none/ice-candidate"),
        ):
            assert error_of(await client.request(method, path, json={}), 404)["code"] == "not_found"
        assert error_of(await client.put("/livez"), 405)["code"] == "method_not_allowed"


async def test_without_triton_a_call_is_refused_for_a_while(alone: RunningOrchestrator) -> None:
    async with http(alone) as client:
        for response in (
            await client.post("/v1/realtime/calls", content=b"v=0\r\n", headers=SDP),
            await client.post("/sessions", json={}),
        ):
            assert error_of(response, 503)["code"] == "backend_unavailable"
            assert int(response.headers["Retry-After"]) > 0


async def test_a_full_server_refuses_the_next_session_until_one_has_ended(ready: RunningOrchestrator) -> None:
    async with http(ready) as client:
        first = (await client.post("/sessions", json={})).json()["session_id"]
        await client.post("/sessions", json={})
        refused = await client.post("/sessions", json={})
        assert error_of(refused, 503)["code"] == "capacity_reached"
        assert int(refused.headers["Retry-After"]) > 0
        assert (await client.get("/sessions")).json()["available_slots"] == 0
        assert (await client.delete(f"/sessions/{first}")).status_code == 200
        assert (await client.post("/sessions", json={})).status_code == 200


# Keys and origins.


async def test_with_an_api_key_only_its_owner_is_let_in(guarded: RunningOrchestrator) -> None:
    owner = {"Authorization": "Bearer the-servers-key"}
    async with http(guarded) as client:
        for method, path in (
            ("POST", "/v1/realtime/calls"),
            ("POST", "/v1/realtime/client_secrets"),
            ("GET", "/sessions"),
            ("POST", "/sessions"),
        ):
            refused = await client.request(method, path)
            assert error_of(refused, 401)["code"] == "invalid_api_key"
            assert refused.headers["WWW-Authenticate"] == "Bearer"
        assert (await client.get("/sessions", headers=owner)).status_code == 200
        assert (await client.get("/sessions", headers={"X-API-Key": "the-servers-key"})).status_code == 200
        for path in ("/livez", "/readyz", "/metrics", "/"):
            assert (await client.get(path)).status_code == 200


async def test_a_client_secret_opens_calls_with_its_session(guarded: RunningOrchestrator) -> None:
    owner = {"Authorization": "Bearer the-servers-key"}
    body = {"expires_after": {"seconds": 30}, "session": {"type": "realtime", "instructions": "Be brief."}}
    async with http(guarded) as client:
        response = await client.post("/v1/realtime/client_secrets", json=body, headers=owner)
        secret = ClientSecretCreateResponse.model_validate(response.json(), strict=True)
        holder = {"Authorization": f"Bearer {secret.value}"}
        session = (await client.post("/sessions", headers=holder)).json()["session_id"]
        assert guarded.services.call(session).session.config.instructions == "Be brief."
        error_of(await client.post("/v1/realtime/client_secrets", headers=holder), 401)


async def test_a_client_secret_for_a_session_that_cannot_be_is_refused(ready: RunningOrchestrator) -> None:
    async with http(ready) as client:
        for body, param in (
            ({"expires_after": {"seconds": 5}}, "expires_after.seconds"),
            ({"expires_after": "soon"}, "expires_after.seconds"),
            ({"session": "loud"}, "session"),
            ({"session": {"type": "realtime", "temperature": 9}}, "session.temperature"),
        ):
            assert error_of(await client.post("/v1/realtime/client_secrets", json=body), 400)["param"] == param


async def test_a_page_of_another_site_may_not_call(alone: RunningOrchestrator) -> None:
    async with http(alone) as client:
        stranger = await client.post("/sessions", json={}, headers={"Origin": "https://evil.example"})
        assert error_of(stranger, 403)["code"] == "forbidden"
        own = await client.post("/sessions", json={}, headers={"Origin": alone.url})
        assert own.status_code == 503, "let in, and Triton is missing"
        friend = await client.post("/sessions", json={}, headers={"Origin": "https://friend.example"})
        assert friend.status_code == 503
        assert friend.headers["access-control-allow-origin"] == "https://friend.example"
