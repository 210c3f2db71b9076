"""The JSON Schema is of what the reader takes: same sections, same keys, plugins' own included."""

import json
from typing import Any

from core.tests.small_plugins import everything, plugin
from recgate.config.reading import SECTIONS
from recgate.config.schema import json_schema
from recgate.plugins import Registry


def schema(extra=None) -> Any:
    return json_schema(Registry({**everything(), **(extra or {})}, path=[]))


def test_it_is_json_with_every_section():
    found = schema()

    assert json.loads(json.dumps(found)) == found
    assert set(found["properties"]) == set(SECTIONS)
    assert found["additionalProperties"] is False


def test_every_reference_leads_somewhere():
    found = schema()

    def references(node):
        if isinstance(node, dict):
            yield from [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    names = {reference.removeprefix("#/$defs/") for reference in references(found)}
    assert names
    assert names <= set(found["$defs"])


def test_a_listener_has_the_cores_keys_and_its_protocols():
    tiny = schema()["$defs"]["listener.tiny"]

    assert {"protocol", "bind", "tls", "auth"} <= set(tiny["properties"])
    assert tiny["additionalProperties"] is False
    assert "auth" not in schema()["$defs"]["listener.metrics"]["properties"]


def test_a_target_has_its_protocols_options():
    found = schema()
    options = found["$defs"]["target.tiny"]["properties"]["options"]

    assert options == {"$ref": "#/$defs/target.tiny.options"}
    assert {"ca", "wait", "rows"} <= set(found["$defs"]["target.tiny.options"]["properties"])
    assert found["$defs"]["target.tiny.options"]["properties"]["wait"]["type"] == "string"


def test_a_plugin_without_settings_is_a_word_without_keys():
    choice = schema()["$defs"]["recording"]["properties"]["store"]["properties"]["mem"]

    assert {"type": "object", "maxProperties": 0} in choice["anyOf"]


def test_a_plugin_that_is_refused_is_left_out_and_hides_no_other():
    found = schema({"broken": plugin("broken", api=99)})

    assert "listener.tiny" in found["$defs"]
    assert set(found["properties"]["vaults"]["items"]["properties"]) == {"safe"}
