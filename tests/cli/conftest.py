"""Running the command line in this process."""

import json
from dataclasses import dataclass

import pytest

from tce_theory import cli


@dataclass
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@pytest.fixture
def run(capsys):
    """Run the command line in this process."""

    def run(*argv):
        capsys.readouterr()
        code = cli.main([str(argument) for argument in argv])
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def succeed(run):
    def succeed(*argv):
        outcome = run(*argv)
        assert (outcome.code, outcome.err) == (0, "")
        return outcome

    return succeed
