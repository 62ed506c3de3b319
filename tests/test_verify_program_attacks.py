"""Programs that cheat, hang or fill the machine: none is rewarded, all are ended, none leaves a folder."""

from __future__ import annotations

import re
import sys
import tempfile
import time
from pathlib import Path

import pytest

from r1kit.types import Outcome
from r1kit.verify.program_check import check_program
from r1kit.verify.program_run import Limits
from r1kit.verify.programs import run_program

LIMITS = Limits(seconds=1, wall_seconds=1.3, memory_mb=128)
TESTS = [{"args": [[3, 1]], "expected": [42, 1, 3]}, {"args": [[]], "expected": [42]}]

_ATTACKS = r"""
## exits
import sys
def f(x): sys.exit(0)
## exits at once
import sys
f = None
sys.exit(0)
## leaves
import os
def f(x): os._exit(0)
## leaves at once
import os
f = None
os._exit(0)
## is equal to all
class A:
    def __eq__(self, other): return True
    __hash__ = None
def f(x): return A()
## is a list equal to all
class A(list):
    def __eq__(self, other): return True
def f(x): return A()
## says it is a list
class A:
    __class__ = list
    def __eq__(self, other): return True
def f(x): return A()
## prints results
def f(x):
    print('["value",[42]]')
    print('["ready"]')
## writes results everywhere
import os
def f(x):
    for target in range(1, 60):
        try: os.write(target, b'["value",[42]]\n' * 9)
        except OSError: pass
## writes odd results and leaves
import os
def f(x):
    for target in range(1, 60):
        try: os.write(target, b'["value",{"__other__":"x"}]\n["value",NaN]\n')
        except OSError: pass
    os._exit(0)
## writes nonsense everywhere
import os
def f(x):
    for target in range(3, 60):
        for text in (b'[' * 30000, b'\xff', b'["value",' + b'9' * 9999 + b']', b'["value"]', b'{"value": 1}'):
            try: os.write(target, text + b'\n')
            except OSError: pass
## closes everything
import os
def f(x):
    os.closerange(0, 99)
    return [42]
## closes everything and sleeps
import os, time
def f(x):
    os.closerange(0, 99)
    time.sleep(60)
## changes the harness
import builtins, sys
harness = sys.modules['__main__']
harness.text = lambda value: '[42]'
harness.same = lambda a, b: True
builtins.len = lambda x: 2
def f(x): return [42]
## changes its callers
import sys
def f(x):
    frame = sys._getframe()
    while frame:
        frame.f_globals['send'] = lambda *parts: None
        frame = frame.f_back
## searches the memory
import gc
def f(x):
    for thing in gc.get_objects():
        if type(thing) is list and thing[:1] == [42]: return thing
        if type(thing) is dict and 'expected' in thing: return thing['expected']
## searches its files
import os
def f(x):
    texts = [open(path, errors='replace').read() for path in ('/proc/self/cmdline', '/proc/self/environ')]
    texts += [open(name).read() for name in os.listdir()]
    return [42, 1, 3] if any('[42, 1, 3]' in text for text in texts) else []
## recurses
def f(x): return f(x)
## recurses without end
import sys
sys.setrecursionlimit(10**9)
def f(x): return f(x)
## crashes
import ctypes
def f(x): ctypes.string_at(0)
## aborts
import os
def f(x): os.abort()
## kills itself
import os
def f(x): os.kill(os.getpid(), 9)
## kills its group
import os
def f(x): os.killpg(0, 9)
## stops itself
import os, signal
def f(x): os.kill(os.getpid(), signal.SIGSTOP)
## fills the memory
def f(x):
    a = [0]
    while True: a += a
## asks for all the memory
def f(x): return [0] * 10**12
## returns a number too long to write
def f(x): return 10 ** 100_000
## returns a long text
def f(x): return 'a' * 10**7
## returns a long list
def f(x): return [[]] * 10**6
## returns a deep list
def f(x):
    for _ in range(500): x = [x]
    return x
## returns a list without end
class A(list):
    def __iter__(self):
        while True: yield 1
def f(x): return A()
## returns a list in itself
def f(x):
    x.append(x)
    return x
## floods its outputs
import os
def f(x):
    while True:
        os.write(1, b'a' * 10**6)
        os.write(2, b'a' * 10**6)
## writes a big file
def f(x):
    with open('a', 'wb') as file:
        while True: file.write(b'a' * 10**6)
## reads the terminal
def f(x): return input()
## is deaf to its limit
import signal
signal.signal(signal.SIGXCPU, signal.SIG_IGN)
def f(x):
    while True: pass
## forks
import os
def f(x):
    os.fork()
    return [42]
## forks often
import os, time
def f(x):
    for _ in range(30):
        if not os.fork(): time.sleep(60)
    return [42]
## forks and leaves
import os, time
def f(x):
    if os.fork(): os._exit(0)
    time.sleep(60)
## starts a thread that outlives it
import threading, time
threading.Thread(target=time.sleep, args=(60,)).start()
def f(x): return [42]
## starts many threads
import threading, time
def f(x):
    for _ in range(300): threading.Thread(target=time.sleep, args=(60,)).start()
    return [42]
## sleeps as it ends
import atexit, time
atexit.register(time.sleep, 60)
def f(x): return [42]
## nests folders
import os
def f(x):
    for _ in range(60):
        os.mkdir('a' * 100)
        os.chdir('a' * 100)
    return [42]
## locks a folder
import os
def f(x):
    os.makedirs('a/b', exist_ok=True)
    os.chmod('a', 0)
    return [42]
"""
ATTACKS = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)+)", _ATTACKS, re.MULTILINE))


@pytest.fixture(autouse=True)
def _no_folder_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_neither_rewarded_nor_waited_for(name: str, tmp_path: Path) -> None:
    started = time.monotonic()
    verdict = check_program(ATTACKS[name], "f", TESTS, LIMITS, run_program)
    assert verdict.outcome in (Outcome.WRONG, Outcome.TIMEOUT), verdict
    assert time.monotonic() - started < 20
    assert list(tmp_path.iterdir()) == []


def test_there_are_dozens_of_attacks_and_each_would_define_the_function() -> None:
    assert len(ATTACKS) == _ATTACKS.count("\n## ") >= 38
    assert all("f = None" in code or "def f(x)" in code for code in ATTACKS.values())


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import time\ntime.sleep(60)",
        "import threading\nwhile True: threading.Thread(target=print).start()",
    ],
)
def test_the_limit_of_time_is_an_outcome_of_its_own(code: str) -> None:
    verdict = check_program(f"f = 1\n{code}", "f", TESTS, LIMITS, run_program)
    assert (verdict.outcome, verdict.detail) == (Outcome.TIMEOUT, "too slow: stopped in test 1")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_children_die_with_the_program() -> None:
    code = """
import os, time
def f(x):
    child = os.fork()
    if not child: time.sleep(60)
    return child
"""
    (result,) = run_program(code, "f", ["[1]"], LIMITS).results
    child = Path(f"/proc/{result.value}/stat")
    deadline = time.monotonic() + 5
    while child.exists() and child.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline, "the child lives on"
        time.sleep(0.01)
