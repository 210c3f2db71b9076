"""What the masker finds and leaves alone, and the vendor kit over it."""

import pytest
from recgate.config import load
from recgate.errors import ConfigurationError
from recgate.plugins import Registry
from recgate.testing.maskers import MaskerContract

from {{ cookiecutter.module }}.masker import NumberMasker, NumberSettings


class TestTheContract(MaskerContract):
    found = ((b"EMP-123456", "number"),)
    harmless = (b"EMP-12345", b"EMP-1234567", b"emp-123456", b"EMP123456")

    def make_masker(self):
        return NumberMasker("staff", NumberSettings())


def test_each_mask_with_the_key_has_a_masker_of_its_name(tmp_path):
    file = tmp_path / "recgate.yaml"
    file.write_text("masks:\n  - {name: staff, {{ cookiecutter.word }}: {prefix: STAFF}}\n")
    (masker,) = Registry.of(load(file)).maskers

    assert masker.name == "staff"
    assert list(masker.spans(b"of STAFF-000001", final=True)) == [(3, 15, "number")]


@pytest.mark.parametrize("options", ["{prefix: ''}", "{prefix: emp}", "{perfix: EMP}"])
def test_what_is_wrong_refuses_the_start(tmp_path, options):
    file = tmp_path / "recgate.yaml"
    file.write_text("masks:\n  - name: staff\n    {{ cookiecutter.word }}: " + options)

    with pytest.raises(ConfigurationError):
        load(file)
