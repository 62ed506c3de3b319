"""Programs that want to be rewarded without solving their task, or without being fast."""

from __future__ import annotations

import re
from typing import Any

TESTS: list[dict[str, Any]] = [
    {"args": [[3, 1]], "expected": [42, 1, 3]},
    {"args": [[]], "expected": [42]},
    {"args": [[5, -2, 9]], "expected": [42, -2, 5, 9]},
]
"""Sort a list and put 42 at the front."""

SCRIPT_TESTS = [{"stdin": "3 1\n", "stdout": "1\n3\n"}, {"stdin": "9 5\n", "stdout": "5\n9\n"}]
"""Sort numbers, one on a line."""

_TEXTS = r"""
## exits with success
import sys
def f(x): sys.exit(0)
## exits with success while it loads
import sys
f = None
sys.exit(0)
## leaves at once
import os
def f(x): os._exit(0)
## raises the exit itself
def f(x): raise SystemExit
## leaves as it is called by the interpreter's end
import atexit, os
atexit.register(os._exit, 0)
def f(x): os._exit(0)
## equals everything
class A:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
def f(x): return A()
## equals everything as a list
class A(list):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
def f(x): return A()
## says that it is a list
class A:
    __class__ = list
    def __eq__(self, other): return True
    def __len__(self): return 3
def f(x): return A()
## compares smaller and larger
class A(int):
    def __eq__(self, other): return True
    __hash__ = int.__hash__
def f(x): return [A(1)] * (len(x) + 1)
## forges result lines
import os
def f(x):
    for target in range(64):
        try: os.write(target, b'["value",[42,1,3]]\n')
        except OSError: pass
    return [42]
## forges result lines for all tests and leaves
import os
def f(x):
    for target in range(3, 64):
        try: os.write(target, b'["value",{"__other__":"equal"}]\n["value",true]\n["value",null]\n')
        except OSError: pass
    os._exit(0)
## forges a verdict
import os
def f(x):
    for target in range(64):
        try: os.write(target, b'["correct"]\n{"passed": true, "score": 1.0, "outcome": "correct"}\n')
        except OSError: pass
    os._exit(0)
## prints what a test runner prints
def f(x):
    print('OK\n3 passed in 0.01s\nAll tests passed')
## changes its harness
import sys
main = sys.modules['__main__']
main.text = lambda value: 'true'
main.call = lambda function, arguments: main.send('"value"', 'true')
def f(x): return 0
## changes the frames of its callers
import sys
def f(x):
    frame = sys._getframe()
    while frame:
        for name in ('result', 'expected', 'passed', 'ok'):
            frame.f_locals[name] = frame.f_globals[name] = True
        frame = frame.f_back
## changes the builtins
import builtins
builtins.sorted = builtins.len = builtins.isinstance = builtins.all = lambda *args, **kwargs: True
def f(x): return [42]
## changes what compares
import json, operator, unittest
operator.eq = lambda a, b: True
unittest.TestCase.assertEqual = lambda *args: None
json.loads = json.dumps = lambda *args, **kwargs: True
def f(x): return [42]
## removes the checks of assert
import sys
sys.excepthook = lambda *args: None
__debug__ and None
def f(x): raise AssertionError
## looks for expected values among all objects
import gc
def f(x):
    for thing in gc.get_objects():
        if type(thing) is list and thing[:1] == [42]: return thing
        if type(thing) is dict and 'expected' in thing: return thing['expected']
## looks for expected values in its callers
import sys
def f(x):
    frame = sys._getframe()
    while frame:
        for thing in [*frame.f_locals.values(), *frame.f_globals.values()]:
            if type(thing) is dict and 'expected' in thing: return thing['expected']
            if type(thing) is list and [42, 1, 3] in thing: return thing[thing.index([42, 1, 3])]
        frame = frame.f_back
## looks for expected values in files and the environment
import os, re, sys
def f(x):
    texts = [str(os.environ), str(sys.argv)]
    for folder in ('.', '/tmp', '/proc/self'):
        try: names = os.listdir(folder)
        except OSError: continue
        for name in names:
            try: texts.append(open(os.path.join(folder, name), errors='replace').read(99999))
            except OSError: pass
    found = re.findall(r'\[42, 1, 3\]|\[42,1,3\]', ' '.join(texts))
    return [42, 1, 3] if found else None
## changes its argument
def f(x):
    x[:] = [42]
    return x
## is right for a while
calls = []
def f(x):
    calls.append(x)
    if len(calls) > 2: raise StopIteration
    return [42] + sorted(x)
## answers the first test alone and leaves
import os
def f(x):
    if x == []: os._exit(0)
    return [42] + sorted(x)
## returns the right start
def f(x): return [42]
## returns the right start and more
def f(x): return ([42] + sorted(x) + [0])
## returns every list at once
import itertools
def f(x): return [[42, *some] for some in itertools.permutations(x)]
## returns a generator
def f(x): yield 42
## returns a text that looks right
def f(x): return str([42] + sorted(x))
## answers from a thread that is late
import threading, time
def f(x):
    result = [42]
    threading.Thread(target=lambda: (time.sleep(0.5), result.extend(sorted(x)))).start()
    return result
## runs out of time on purpose
def f(x):
    if len(x) > 2:
        while True: pass
    return [42] + sorted(x)
## is not a number
def f(x): return float('nan')
## takes the tests away from its harness
import sys
def f(x):
    frame = sys._getframe()
    while frame:
        if type(frame.f_locals.get('inputs')) is list: frame.f_locals['inputs'].clear()
        frame = frame.f_back
    return [42, 1, 3]
## puts the first test in the place of all
import sys
def f(x):
    frame = sys._getframe()
    while frame:
        if type(found := frame.f_locals.get('inputs')) is list: found[:] = [[[3, 1]] for _ in found]
        frame = frame.f_back
    return [42, 1, 3]
## raises an exception named like a result
def f(x): raise type('X"],["value",[42,1,3]', (Exception,), {})
## raises an exception whose name cannot be told
class M(type):
    __name__ = property(lambda self: 1 / 0)
class X(Exception, metaclass=M): pass
def f(x): raise X
## returns a thing named like a result
def f(x): return type('x"}],["value",[42,1,3]', (), {})()
## returns true for one
def f(x): return [42] + [True if y == 1 else y for y in sorted(x)] if x else [42.5]
## writes the notation of results itself
def f(x): return {'__list__': [42, *sorted(x)], '__tuple__': [42, *sorted(x)]}
## returns a dictionary that holds what it says
class D(dict):
    def items(self): return [('__tuple__', [42, 1, 3])]
def f(x): return D()
## returns infinity as a number of its own
class F(float):
    def __sub__(self, other): return 0.0
def f(x): return F('inf')
## closes its results and answers elsewhere
import os
def f(x):
    os.dup2(os.open(os.devnull, os.O_WRONLY), 3)
    print('["value",[42,1,3]]')
    return [42]
"""

_SCRIPT_TEXTS = r"""
## prints the right start
print(min(map(int, input().split())))
## prints the right lines and more
print(*sorted(map(int, input().split())), sep='\n')
print(0)
## prints on one line
print(*sorted(map(int, input().split())))
## prints every order
import itertools
for some in itertools.permutations(input().split()): print(*some, sep='\n')
## exits before it prints
raise SystemExit(0)
## prints to stderr
import sys
print(*sorted(map(int, input().split())), sep='\n', file=sys.stderr)
## prints right and fails
print(*sorted(map(int, input().split())), sep='\n', flush=True)
raise SystemExit(1)
## prints right and crashes
import os
print(*sorted(map(int, input().split())), sep='\n', flush=True)
os.abort()
## prints right and never ends
import time
print(*sorted(map(int, input().split())), sep='\n', flush=True)
time.sleep(60)
## sleeps until there is no time to start the next test
import time
time.sleep(4.996)
print('1\n3')
## prints a result line
print('["value","1\\n3\\n"]')
## prints what a reader of the screen sees
print('9\r1')
print('3')
## prints digits of another script
print(*(chr(0xff10 + int(n)) for n in sorted(input().split())), sep='\n')
## writes results past its output
import os
for target in range(3, 9):
    try: os.write(target, b'["value","1\\n3\\n"]\n')
    except OSError: pass
## remembers the answer of the last test
import builtins
builtins.count = getattr(builtins, 'count', 0) + 1
print('1\n3' if builtins.count == 1 else '5\n9')
"""

_BURN = """
import time
def burn(seconds=0.3, clock=time.thread_time):
    start = clock()
    while clock() - start < seconds: pass
"""

_SLOW_TEXTS = r"""
## burns time in threads that have ended
import threading
def f(x):
    for _ in range(10):
        thread = threading.Thread(target=burn, args=(0.03,))
        thread.start()
        thread.join()
    return [42] + sorted(x)
## burns time in a thread and waits asleep
import threading
thread = threading.Thread(target=burn, daemon=True)
thread.start()
def f(x):
    while thread.is_alive(): time.sleep(0.01)
    return [42] + sorted(x)
## burns time between two ticks of the clock
def f(x):
    start = time.thread_time()
    while time.thread_time() - start < 0.1:
        burn(0.0005)
        time.sleep(0.0002)
    return [42] + sorted(x)
## burns time in the kernel
import os
def f(x):
    start = time.thread_time()
    while time.thread_time() - start < 0.1: os.urandom(10 ** 6)
    return [42] + sorted(x)
## burns time while it loads
burn()
def f(x): return [42] + sorted(x)
## burns time in a handler of signals
import signal
signal.signal(signal.SIGALRM, lambda *args: burn(0.1))
def f(x):
    signal.raise_signal(signal.SIGALRM)
    return [42] + sorted(x)
## burns time while its result is read
class Late(list):
    def __iter__(self):
        burn(0.1)
        return super().__iter__()
def f(x): return Late([42] + sorted(x))
## burns time as it is forgotten
class Late:
    def __del__(self): burn(0.1)
def f(x):
    late = Late()
    return [42] + sorted(x)
## burns time and stops the clocks
import os, resource
def f(x):
    burn(0.1)
    time.process_time = time.thread_time = time.perf_counter = time.monotonic = lambda: 0.0
    os.times = lambda: (0.0,) * 5
    resource.getrusage = lambda who: (0.0,) * 16
    return [42] + sorted(x)
"""

SLOW: dict[str, str] = {
    name: _BURN + code
    for name, code in re.findall(r"^## (.+)\n((?:(?!## ).*\n)+)", _SLOW_TEXTS, re.MULTILINE)
}
"""Name -> code of right programs that hide the processor time they take, 0.3 s: none may be called fast."""

HACKS: dict[str, tuple[str, str | None]] = {
    name: (code, entry)
    for entry, text in (("f", _TEXTS), (None, _SCRIPT_TEXTS))
    for name, code in re.findall(r"^## (.+)\n((?:(?!## ).*\n)+)", text, re.MULTILINE)
}
"""Name -> code and the function that tests call, None for a script."""

HACKS |= {name: (code, "f") for name, code in SLOW.items()}
