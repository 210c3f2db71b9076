"""What is loaded, what is refused at load with distribution and remedy, and what hooks may return."""

import click
import pytest
from pydantic import BaseModel

from core.tests.small_plugins import (
    BASE,
    Idp,
    MemCatalog,
    MemSearch,
    MemStore,
    Safe,
    everything,
    plugin,
    tiny_provider,
)
from recgate.config.files import load
from recgate.config.sections import Configuration
from recgate.config.values import Settings
from recgate.errors import PluginError
from recgate.hookspecs import hookimpl
from recgate.plugins import Registry
from recgate.plugins.discovery import NotInstalled
from recgate.plugins.inspection import HOOKS
from recgate.plugins.shapes import fault_in, is_catalog, is_search, is_store
from recgate.providers import SettingsModel


class Lax(BaseModel):
    """Takes anything."""


def loaded(**modules) -> Registry:
    registry = Registry(modules, path=[])
    registry.load(modules)
    return registry


def refusal(**modules) -> str:
    with pytest.raises(PluginError) as refused:
        loaded(**modules)
    return str(refused.value)


@pytest.fixture
def configured(tmp_path):
    """Read `BASE` with plugins put in place of its own."""

    def read(extra=None, text=BASE) -> tuple[Configuration, Registry]:
        file = tmp_path / "recgate.yaml"
        file.write_text(text)
        registry = Registry({**everything(), **(extra or {})}, path=[])
        config = load(file, registry)
        registry.bind(config)
        return config, registry

    return read


def test_only_what_is_named_is_loaded():
    registry = Registry({"a": plugin("a"), "b": plugin("b")}, path=[])
    registry.load(["a"])

    assert list(registry.loaded) == ["a"]
    assert set(registry.candidates) == {"a", "b"}


def test_a_plugin_that_is_not_installed_is_named_with_how_to_get_it():
    with pytest.raises(
        NotInstalled, match=r"no installed plugin is called mysql\. Run `pip install recgate-mysql`"
    ):
        Registry(path=[]).load(["mysql"])


def test_an_async_hook_is_refused():
    async def recgate_policies(config):
        return []

    text = refusal(bad=plugin("bad", recgate_policies=hookimpl(recgate_policies)))

    assert "plugin bad (in-process 0): recgate_policies is an `async def`" in text
    assert "Make it a plain `def`" in text


def test_an_async_generator_hook_is_refused():
    async def recgate_policies(config):
        yield None

    assert "`async def`" in refusal(bad=plugin("bad", recgate_policies=hookimpl(recgate_policies)))


def test_a_misspelt_hook_is_refused_with_the_one_that_was_meant():
    text = refusal(bad=plugin("bad", recgate_polices=hookimpl(lambda config: [])))

    assert "has a hook recgate_polices, which does not exist. Did its author mean recgate_policies?" in text


def test_a_hook_of_another_name_altogether_is_refused():
    def on_start():
        return []

    assert "Hooks are: recgate_settings, " in refusal(bad=plugin("bad", on_start=hookimpl(on_start)))


def test_a_hook_that_is_not_marked_is_refused():
    text = refusal(bad=plugin("bad", recgate_policies=lambda config: []))

    assert "recgate_policies is not marked, so nothing would call it. Put @hookimpl above it." in text


def test_a_hook_that_wraps_others_is_refused():
    @hookimpl(wrapper=True)
    def recgate_policies(config):
        return (yield)

    assert "wraps other plugins' hooks" in refusal(bad=plugin("bad", recgate_policies=recgate_policies))


def test_a_hook_with_arguments_that_it_cannot_be_given_is_refused():
    def recgate_policies(config, session):
        return []

    text = refusal(bad=plugin("bad", recgate_policies=hookimpl(recgate_policies)))

    assert "has a hook with arguments that it cannot be given" in text
    assert "Compare it with recgate.hookspecs" in text


@pytest.mark.parametrize(
    ("api", "advice"),
    [(2, "Install an older"), (0, "Install a newer"), ("1", "Install a newer"), (True, "Install")],
)
def test_a_plugin_for_another_api_is_refused(api, advice):
    """Threat 37."""
    text = refusal(bad=plugin("bad", api=api))

    assert f"plugin bad (in-process 0) was built for plugin API {api!r}, and this gateway has 1." in text
    assert advice in text


def test_a_plugin_that_does_not_say_its_api_is_refused():
    assert "needs a line `recgate_api = 1`" in refusal(bad=plugin("bad", api=None))


def test_two_plugins_that_claim_one_protocol_are_refused():
    """Threat 36."""
    one = plugin("one", recgate_protocols=[tiny_provider("tiny")])
    two = plugin("two", recgate_protocols=[tiny_provider("other"), tiny_provider("tiny")])

    text = refusal(one=one, two=two)

    assert (
        "plugin two (in-process 0) claims the protocol tiny, which plugin one (in-process 0) has already"
        in text
    )
    assert "Take one of them out" in text


def test_the_loser_leaves_nothing_behind():
    registry = Registry(
        {
            "one": plugin("one", recgate_protocols=[tiny_provider("tiny")]),
            "two": plugin("two", recgate_protocols=[tiny_provider("other"), tiny_provider("tiny")]),
        },
        path=[],
    )
    with pytest.raises(PluginError):
        registry.load(["one", "two"])

    assert set(registry.protocols) == {"tiny"}
    assert set(registry.loaded) == {"one"}


def test_two_plugins_that_claim_one_key_are_refused():
    class Model(Settings):
        pass

    models = [SettingsModel("vaults", "safe", Model)]
    text = refusal(one=plugin("one", recgate_settings=models), two=plugin("two", recgate_settings=models))

    assert "claims the configuration key vaults: safe" in text


def test_settings_that_ignore_unknown_keys_are_refused():
    text = refusal(bad=plugin("bad", recgate_settings=[SettingsModel("vaults", "x", Lax)]))

    assert "recgate_settings gave the model Lax, which ignores unknown keys" in text


def test_an_exception_in_a_hook_refuses_the_plugin():
    """Threat 35."""

    def recgate_protocols():
        raise ZeroDivisionError("by design")

    text = refusal(bad=plugin("bad", recgate_protocols=hookimpl(recgate_protocols)))

    assert "recgate_protocols failed with ZeroDivisionError: by design." in text
    assert "Take bad out of the configuration" in text


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ([object()], "gave a object where ProtocolProvider is expected"),
        ([None], "gave None where ProtocolProvider is expected"),
        (None, "failed with TypeError"),
        (5, "failed with TypeError"),
        ("tiny", "gave a str where ProtocolProvider is expected"),
        ([tiny_provider(relay=None)], "gave the protocol 'tiny' with neither relay and driver"),
        ([tiny_provider(driver=lambda options: None)], "gave the protocol 'tiny' with both relay and driver"),
        (
            [tiny_provider(default_listener_tls="no")],
            "gave the protocol 'tiny' with an unknown default_listener_tls",
        ),
        ([tiny_provider(target_options=dict)], "gave something else where a pydantic model is expected"),
        (
            [tiny_provider(listener_options=Lax)],
            "gave the model Lax, which ignores unknown keys; it needs extra=",
        ),
    ],
)
def test_a_hook_that_returns_the_wrong_type_is_refused(value, what):
    """Threat 35."""
    text = refusal(bad=plugin("bad", recgate_protocols=value))

    assert f"plugin bad (in-process 0): recgate_protocols {what}" in text


class NoVault(Safe):
    lease = None  # pyright: ignore[reportAssignmentType]


class SyncVault(Safe):
    def lease(self, path, principal, target, session_id):
        return None


class AsyncPolicy:
    name = "p"

    async def decide(self, request):
        return None


@pytest.mark.parametrize(
    ("hook", "value", "what"),
    [
        ("recgate_vaults", NoVault(), "where Vault is expected: as Vault it has no lease"),
        ("recgate_vaults", SyncVault(), "its lease should be an `async def`"),
        ("recgate_policies", AsyncPolicy(), "its decide should be a plain `def`"),
        (
            "recgate_authenticators",
            Safe(),
            "where Authenticator is expected: as Authenticator it has no authenticate",
        ),
        ("recgate_stores", Idp(), "where RecordingStore or Catalog or SearchIndex is expected"),
        ("recgate_commands", print, "where Command is expected"),
        ("recgate_session_stages", 5, "where a callable stage is expected"),
    ],
)
def test_what_lacks_a_method_is_found_at_start_and_not_in_a_session(hook, value, what):
    """Threat 35."""
    assert what in fault_in(hook, value)


@pytest.mark.parametrize(
    ("hook", "value"),
    [
        ("recgate_vaults", Safe()),
        ("recgate_authenticators", Idp()),
        ("recgate_stores", MemStore()),
        ("recgate_stores", MemCatalog()),
        ("recgate_commands", click.Command("x")),
        ("recgate_session_stages", lambda frame: frame),
    ],
)
def test_what_has_the_shape_is_taken(hook, value):
    assert fault_in(hook, value) == ""


def test_stores_are_told_apart_by_their_shape():
    assert [is_store(v) for v in (MemStore(), MemCatalog(), MemSearch())] == [True, False, False]
    assert [is_catalog(v) for v in (MemStore(), MemCatalog(), MemSearch())] == [False, True, False]
    assert [is_search(v) for v in (MemStore(), MemCatalog(), MemSearch())] == [False, False, True]


def test_a_wrong_object_is_not_quoted(configured):
    """Law 4."""
    _, registry = configured({"safe": plugin("safe", recgate_vaults=["hunter2-secret"])})

    with pytest.raises(PluginError, match="gave a str where Vault is expected") as refused:
        _ = registry.vaults
    assert "hunter2" not in str(refused.value)


def test_a_policy_hook_that_forgot_its_return_is_not_no_policy(configured):
    """Law 3 and threat 35."""
    _, registry = configured({"idp": plugin("idp", recgate_policies=hookimpl(lambda config: None))})

    with pytest.raises(PluginError, match="recgate_policies failed with TypeError"):
        _ = registry.policies


def test_providers_come_from_the_configuration(configured):
    config, registry = configured()

    assert [authenticator.name for authenticator in registry.authenticators] == ["idp"]
    assert set(registry.vaults) == {"safe"}
    assert isinstance(registry.store, MemStore)
    assert isinstance(registry.catalog, MemCatalog)
    assert isinstance(registry.search, MemSearch)
    assert registry.policies == registry.maskers == registry.observers == []
    assert registry.authenticators is registry.authenticators
    assert config.plugins == tuple(registry.loaded)


def test_authenticators_are_asked_in_configured_order(configured):
    class Other(Idp):
        name = "other"

    _, registry = configured(
        {"other": plugin("other", recgate_authenticators=[Other()])},
        BASE.replace("[{idp: {}}]", "[{other: {}}, {idp: {}}]"),
    )

    assert [authenticator.name for authenticator in registry.authenticators] == ["other", "idp"]


def test_two_vaults_of_one_name_are_refused(configured):
    _, registry = configured(
        {"safe": plugin("safe", recgate_vaults=[Safe("a"), Safe("a")])},
        BASE.replace("{safe: {}}", "{safe: }"),
    )

    with pytest.raises(PluginError, match="two vaults are called a"):
        _ = registry.vaults


def test_a_store_that_is_not_given_is_refused(configured):
    _, registry = configured({"store-mem": plugin("store_mem", recgate_stores=[])})

    with pytest.raises(PluginError, match="gave no recording store for this configuration"):
        _ = registry.store


def test_stages_are_built_for_each_session_in_order(configured):
    seen = []

    def recgate_session_stages(session):
        seen.append(session)
        return [lambda frame: frame]

    _, registry = configured({"idp": plugin("idp", recgate_session_stages=hookimpl(recgate_session_stages))})

    assert len(registry.session_stages("session-1")) == 1  # pyright: ignore[reportArgumentType]
    assert seen == ["session-1"]


def test_a_registry_serves_one_configuration(configured):
    config, registry = configured()
    other, _ = configured()

    registry.bind(config)
    with pytest.raises(PluginError, match="serves one configuration"):
        registry.bind(other)
    with pytest.raises(PluginError, match="no configuration yet"):
        _ = Registry(path=[]).vaults


def test_of_loads_what_a_configuration_needs(configured):
    config, _ = configured()

    registry = Registry.of(config, everything())

    assert set(registry.protocols) == {"tiny"}
    assert set(registry.vaults) == {"safe"}


def test_every_hook_is_known():
    assert len(HOOKS) == 15
    assert "recgate_settings" in HOOKS
