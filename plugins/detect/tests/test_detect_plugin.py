"""A `masks:` entry becomes a masker of its name, or a problem with its line."""

import pytest

from recgate.config import load
from recgate.errors import ConfigurationError
from recgate.plugins import Registry


def write(tmp_path, masks):
    file = tmp_path / "recgate.yaml"
    file.write_text(f"gateway: {{data_dir: {tmp_path}/data}}\nmasks:\n{masks}")
    return file


def test_each_mask_is_a_masker_of_its_name(tmp_path):
    file = write(
        tmp_path,
        "  - {name: pii, detect: [email, credit_card], with: {keep_last: 4}}\n"
        '  - {name: own, patterns: {employee: "EMP-[0-9]{6}"}, deny: [Falcon]}\n',
    )
    maskers = Registry.of(load(file)).maskers

    assert [masker.name for masker in maskers] == ["pii", "own"]
    found = [list(masker.spans(b"EMP-123456 falcon a@example.org", final=True)) for masker in maskers]
    assert found == [[(18, 31, "email")], [(0, 10, "employee"), (11, 17, "deny")]]


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ("{name: pii, detect: [emial]}", "masks[0].detect[0]: nothing called `emial` can be detected. Did you"),
        ('{name: pii, patterns: {x: "("}}', "masks[0].patterns.x: is no regular expression that RE2 takes"),
        ('{name: pii, patterns: {x: "(?=a)"}}', "masks[0].patterns.x: is no regular expression that RE2 takes"),
        ('{name: pii, patterns: {x: "a*"}}', "masks[0].patterns.x: matches nothing at all as well"),
        ('{name: pii, deny: [" "]}', "masks[0].deny[0]: should be a word or phrase"),
        ("{name: pii, detect: []}", "masks[0]: looks for nothing"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_one_is_said_where_it_stands(tmp_path, mask, expected):
    with pytest.raises(ConfigurationError) as failed:
        load(write(tmp_path, f"  - {mask}\n"))

    (problem,) = failed.value.problems
    assert f"recgate.yaml:3: {expected}" in problem
