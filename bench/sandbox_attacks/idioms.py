"""Ordinary programs, of the kinds that solve such tasks: nearly all must pass."""

from __future__ import annotations

import re

_TEXTS = r"""
## collections
from collections import Counter, defaultdict, deque, namedtuple, OrderedDict
def f(x):
    counted, groups = Counter(x), defaultdict(list)
    queue = deque(sorted(counted.elements()))
    queue.appendleft(42)
    return list(queue)
## itertools
import itertools
def f(x): return list(itertools.chain([42], *(list(g) for _, g in itertools.groupby(sorted(x)))))
## heapq
import heapq
def f(x):
    heapq.heapify(x)
    return [42] + [heapq.heappop(x) for _ in range(len(x))]
## re
import re
def f(x): return [42] + sorted(int(m) for m in re.findall(r'-?\d+', str(x)))
## dataclasses
from dataclasses import dataclass, field
@dataclass(order=True)
class Item:
    value: int
    tags: list = field(default_factory=list, compare=False)
def f(x): return [42] + [item.value for item in sorted(map(Item, x))]
## generators
def produce(x):
    yield 42
    yield from sorted(x)
def f(x): return list(produce(x))
## threads
import threading
def f(x):
    found, lock = [], threading.Lock()
    def work(y):
        with lock: found.append(y)
    threads = [threading.Thread(target=work, args=(y,)) for y in x]
    for t in threads: t.start()
    for t in threads: t.join()
    return [42] + sorted(found)
## a pool of threads
from concurrent.futures import ThreadPoolExecutor
def f(x):
    with ThreadPoolExecutor(4) as pool: return [42] + sorted(pool.map(int, x))
## scratch files
import tempfile, os
def f(x):
    with open('numbers.txt', 'w') as file: file.write('\n'.join(map(str, x)))
    with open('numbers.txt') as file: found = [int(line) for line in file if line.strip()]
    os.remove('numbers.txt')
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, 'a'), 'w') as file: file.write('x')
    return [42] + sorted(found)
## decimal
from decimal import Decimal, getcontext
def f(x):
    getcontext().prec = 50
    return [42] + [int(d) for d in sorted(Decimal(y) for y in x)]
## fractions
from fractions import Fraction
def f(x): return [42] + [int(d * 7) for d in sorted(Fraction(y, 7) for y in x)]
## json
import json
def f(x): return json.loads(json.dumps([42, *sorted(x)], indent=1))
## text
import string, textwrap
def f(x):
    text = f"{', '.join(f'{y:>5}' for y in sorted(x))}"
    return [42] + [int(part) for part in text.split(',') if part.strip(string.whitespace)]
## deep recursion
def merge(a, b):
    if not a or not b: return a + b
    return [a[0]] + merge(a[1:], b) if a[0] < b[0] else [b[0]] + merge(a, b[1:])
def depth(n): return 0 if n == 0 else 1 + depth(n - 1)
def f(x):
    assert depth(900) == 900
    out = []
    for y in x: out = merge(out, [y])
    return [42] + out
## functools
import functools
@functools.cache
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
def f(x):
    assert fib(90) == 2880067194370816120
    return functools.reduce(lambda a, b: a + [b], sorted(x), [42])
## dates
import datetime, time, calendar
def f(x):
    day = datetime.date(2024, 1, 1)
    assert datetime.datetime.now() and time.localtime() and calendar.isleap(2024)
    return [42] + sorted((day + datetime.timedelta(days=y) - day).days for y in x)
## random numbers
import random
def f(x):
    random.seed(1)
    random.shuffle(x)
    return [42] + sorted(x, key=lambda y: (y, random.random()))
## math
import math, cmath, statistics
def f(x):
    assert math.isqrt(10 ** 20) == 10 ** 10 and math.comb(10, 3) == 120
    return [42] + sorted(x, key=lambda y: math.atan(y))
## bisect
import bisect
def f(x):
    out = []
    for y in x: bisect.insort(out, y)
    return [42, *out]
## typing, enum
from enum import Enum, auto
from typing import List, Optional, TypeVar, Generic
T = TypeVar('T')
class Order(Enum):
    UP = auto()
    DOWN = auto()
class Stack(Generic[T]):
    def __init__(self) -> None: self.items: List[T] = []
def f(x: List[int], order: Optional[Order] = Order.UP) -> List[int]:
    return [42] + sorted(x, reverse=order is Order.DOWN)
## a class of its own
class Solution:
    def f(self, x): return [42, *sorted(x)]
## a rare module
import colorsys, xml.etree.ElementTree as tree
def f(x):
    root = tree.Element('a')
    for y in sorted(x): tree.SubElement(root, 'b').text = str(y)
    return [42] + [int(b.text) for b in root]
## hashes, bytes, arrays
import array, base64, hashlib, struct, zlib
def f(x):
    assert len(hashlib.sha256(zlib.compress(base64.b64encode(struct.pack('<i', 1)))).digest()) == 32
    return [42] + array.array('q', sorted(x)).tolist()
## a limit of its own
import resource, signal, sys
def f(x):
    sys.setrecursionlimit(5000)
    resource.setrlimit(resource.RLIMIT_STACK, resource.getrlimit(resource.RLIMIT_STACK))
    signal.signal(signal.SIGALRM, lambda *args: None)
    signal.alarm(1)
    signal.alarm(0)
    return [42] + sorted(x)
"""

_SCRIPT_TEXTS = r"""
## reading input line by line
def main():
    numbers = list(map(int, input().split()))
    for number in sorted(numbers): print(number)
if __name__ == '__main__':
    main()
## reading all input
import sys
data = sys.stdin.read().split()
sys.stdout.write('\n'.join(map(str, sorted(map(int, data)))) + '\n')
## reading input fast
import os, io
input = io.BytesIO(os.read(0, os.fstat(0).st_size)).readline
print(*sorted(map(int, input().split())), sep='\n')
## a larger stack in a thread
import sys, threading
sys.setrecursionlimit(10 ** 6)
threading.stack_size(64 * 1024 * 1024)
def depth(n): return 0 if n == 0 else 1 + depth(n - 1)
def main():
    assert depth(20000) == 20000
    print(*sorted(map(int, input().split())), sep='\n')
thread = threading.Thread(target=main)
thread.start()
thread.join()
"""

IDIOMS: dict[str, tuple[str, str | None]] = {
    name: (code, entry)
    for entry, text in (("f", _TEXTS), (None, _SCRIPT_TEXTS))
    for name, code in re.findall(r"^## (.+)\n((?:(?!## ).*\n)+)", text, re.MULTILINE)
}
"""Name -> code and the function that tests call, None for a script. They solve the tasks of `hacks`."""
