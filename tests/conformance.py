"""What every domain promises; `check(domain)` is used for the shipped ones and for the README's example."""

import json
import subprocess
import sys

import pytest

from program_sandbox import SandboxError, open_sandbox
from warmup_rl.base.types import SPLITS
from warmup_rl.interfaces.format import ResponseFormat

FORM = ResponseFormat()


def check(domain, count=60):
    """Raises AssertionError where a domain breaks a promise."""
    drawn = {split: domain.take(split, 0, count) for split in SPLITS}
    every = [problem for problems in drawn.values() for problem in problems]
    assert len({problem.id for problem in every}) == len(every), "ids repeat, within a split or between splits"
    for split in SPLITS:
        assert domain.take(split, 0, count) == drawn[split], "the same (split, seed) must give the same problems"
        others = {problem.id for problem in domain.take(split, 1, count)}
        assert not others & {p.id for s in SPLITS if s != split for p in drawn[s]}, "another seed crosses splits"
    for problem, other in zip(every, [*every[1:], every[0]], strict=True):
        _check_grading(domain, problem, other)


def _check_grading(domain, problem, other):
    def outcome(text):
        return domain.score(text, problem, FORM).outcome

    reference = domain.reference(problem)
    assert problem.domain == (domain.name or domain.type)
    assert json.loads(json.dumps(problem.meta)) == problem.meta, "meta must be JSON values"
    assert 0 <= domain.chance_accuracy(problem) < 1
    assert domain.prompt(problem)[-1]["role"] == "user"
    assert outcome(FORM.render(thinking="so", answer=reference)) == "correct", "the reference must be correct"
    broken = domain.score(f"so </think> {reference}", problem, FORM)
    assert (broken.verdict, broken.outcome) == ("correct", "bad_format"), "form and answer are two things"
    assert outcome(FORM.render(thinking="so", answer="")) == "no_answer"
    assert outcome(f"so {reference}") == "bad_format"
    assert domain.score(f"so {reference}", problem, FORM).verdict == "none", "thinking is no answer"
    for wrong in ("?", problem.question, "lorem ipsum", "( ) = . , ;", "9" * 5_000, "\u2067\u0000 \ud83d\ude00"):
        assert outcome(FORM.render(thinking="so", answer=wrong)) != "correct", f"{wrong[:40]!r} must not be correct"
    if domain.grade(domain.reference(other), problem).verdict == "correct":
        assert domain.chance_accuracy(problem) > 1e-4, "another problem's answer is correct in a large answer space"


def sandbox_or_skip():
    """Skips a test where programs cannot be run on this machine."""
    try:
        open_sandbox()
    except SandboxError as error:
        pytest.skip(str(error))


def imports_torch(module):
    """Whether importing a module brings in torch."""
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    return subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode != 0
