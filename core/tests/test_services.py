"""Listeners that lead to no target, ways to targets, and routes: built once, and unable to hurt a session."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import trio

from core.tests import small_services
from core.tests.small_plugins import plugin
from core.tests.small_services import WAY
from core.tests.test_gateway import House, house, rest, until
from recgate.errors import ConfigurationError, PluginError
from recgate.plugins import Registry

EXTRA: dict[str, ModuleType] = {"hello": small_services, "roundabout": small_services}
LISTENERS = [{"protocol": "line", "bind": "127.0.0.1:0"}, {"protocol": "hello", "bind": "127.0.0.1:0"}]


async def hello(home: House, says: bytes) -> bytes:
    bound = next(b for b in home.gateway.bound if b.protocol == "hello")
    stream = await trio.open_tcp_stream(bound.host, bound.port)
    home.streams.append(stream)
    await stream.send_all(says)
    return await rest(stream)


async def test_a_service_has_a_listener_and_breaks_alone(tmp_path: Path) -> None:
    async with house(tmp_path, EXTRA, listeners=LISTENERS) as home:
        session = await home.opened()
        assert await hello(home, b"hello") == b"hello 127.0.0.1 on hello\n"
        assert await hello(home, b"break") == b""
        assert await hello(home, b"hello") == b"hello 127.0.0.1 on hello\n"
        await session.send_all(b"ASK on\n")
        assert await until(session, b"on\n") == b"ANSWER to ASK on\n"


async def test_no_target_is_behind_a_service(tmp_path: Path) -> None:
    with pytest.RaisesGroup(
        pytest.RaisesExc(ConfigurationError, match="provides no protocol `hello`"), flatten_subgroups=True
    ):
        async with house(tmp_path, EXTRA, target={"protocol": "hello"}):
            pass


async def test_a_target_is_reached_by_its_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house(tmp_path, EXTRA, target={"via": "roundabout"}) as home:
        await home.opened()
        assert WAY.sessions[-1] in home.gateway.live.values(), "the way hears whom it is for"
        monkeypatch.setattr(WAY, "closed", True)
        assert b"prod: the roundabout is closed" in await rest(await home.login())


async def test_a_way_that_no_plugin_offers_is_a_clear_no(tmp_path: Path) -> None:
    async with house(tmp_path, EXTRA, target={"via": "hello"}) as home:
        assert b"no plugin leads there `via: hello`" in await rest(await home.login())


def test_two_services_of_one_name_are_refused() -> None:
    hook = small_services.recgate_services
    registry = Registry({"a": plugin(recgate_services=hook), "b": plugin(recgate_services=hook)}, path=[])
    with pytest.raises(PluginError, match="claims the protocol hello"):
        registry.load(["a", "b"])


@pytest.mark.parametrize(
    ("hook", "said"), [("ways", "two ways are called roundabout"), ("routes", "two plugins mount /api/hello")]
)
async def test_two_of_one_name_are_refused(tmp_path: Path, hook: str, said: str) -> None:
    async with house(tmp_path) as home:
        build = getattr(small_services, f"recgate_{hook}")
        once = Registry({"a": plugin(**{f"recgate_{hook}": build})}, path=[])
        twice = Registry(
            {"a": plugin(**{f"recgate_{hook}": build}), "b": plugin(**{f"recgate_{hook}": build})}, path=[]
        )
        for registry in (once, twice):
            registry.bind(home.gateway.config)
            registry.load(["a"])
            assert len(getattr(registry, hook)(home.gateway)) == 1
        twice.load(["b"])
        with pytest.raises(PluginError, match=said):
            getattr(twice, hook)(home.gateway)
