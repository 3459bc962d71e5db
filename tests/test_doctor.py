"""`doctor` says what a machine lacks and how to get it."""

import pytest

from program_sandbox import probe
from warmup_rl.base.errors import UserError
from warmup_rl.cli import doctor


@pytest.fixture
def without_bwrap(monkeypatch):
    """A machine on which bubblewrap is not installed."""
    monkeypatch.setenv("PATH", "/nowhere")
    probe.cache_clear()
    yield
    probe.cache_clear()


def test_the_doctor_says_what_is_missing_and_how_to_get_it(without_bwrap, capsys):
    doctor.main([])
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "no bwrap bubblewrap is not installed" in lines
    assert any(line.startswith("to get it: apt-get install bubblewrap") for line in lines)
    assert any(line.startswith("yes torch") for line in lines)
    with pytest.raises(UserError, match="unknown argument"):
        doctor.main(["--colour"])
