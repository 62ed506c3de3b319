"""What runs inside the process of a program: the harness, as text.

It is text and not a module because nothing in r1kit's own process may execute code: it is handed to a fresh
interpreter alone, of one program (`SOURCE`) or of a sandbox (`sandbox.zygote`). It knows the arguments and
never the expected results. It writes one JSON line after another to a pipe of its own:

    ["ready"]                  the limits stand and nothing of the program has run yet
    ["syntax"]                 it does not compile; the last line
    ["failed","NameError"]     it raised before a test began, or lacks the function; the last line
    ["value",[42,1]]           what test i returned, or printed
    ["raised","ValueError"]    what test i raised

`program_values` describes the values. A program can write such lines as well; they are data from the program
either way.
"""

from __future__ import annotations

HARNESS = r"""
import builtins, os, resource, sys
from _json import encode_basestring_ascii as quote  # importing json takes longer than all the rest

def text(value):
    kind = type(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if issubclass(kind, str):
        return quote(value)
    if issubclass(kind, int):
        return int.__repr__(value)
    if issubclass(kind, float):
        if value - value != 0:
            return '{"__other__":"%s"}' % ("nan" if value != value else "infinity")
        return float.__repr__(value)
    if issubclass(kind, list):
        return "[" + ",".join(map(text, value)) + "]"
    if issubclass(kind, tuple):
        return '{"__tuple__":' + text(list(value)) + "}"
    if issubclass(kind, (set, frozenset)):
        return '{"__set__":' + text(list(value)) + "}"
    if issubclass(kind, dict):
        return '{"__dict__":' + text([[k, v] for k, v in value.items()]) + "}"
    return '{"__other__":' + quote(kind.__name__) + "}"

def send(*parts):
    line = ("[" + ",".join(parts) + "]\n").encode("ascii")
    while line:
        line = line[os.write(PIPE, line):]

def raised(status, error):
    send(status, quote(type(error).__name__))

def limit(name, soft, hard):
    kind = getattr(resource, "RLIMIT_" + name)
    most = resource.getrlimit(kind)[1]
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(kind, (soft, hard))

def load(code, name):
    module = sys.modules[name] = type(sys)(name)
    exec(code, module.__dict__)
    return module

def find(module, entry):
    if not hasattr(module, entry) and hasattr(module, "Solution"):
        return getattr(module.Solution(), entry)
    return getattr(module, entry)

def call(function, arguments):
    try:
        result = text(function(*arguments))
    except BaseException as error:
        raised('"raised"', error)
    else:
        send('"value"', result)

def redirect(target, opened):
    if opened != target:  # it is where the program closed the target
        os.dup2(opened, target)
        os.close(opened)

def run_script(code):
    try:
        load(code, "__main__")
    except SystemExit as error:
        if error.code not in (None, 0):
            raise
    if "threading" in sys.modules:
        threading = sys.modules["threading"]
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
    if "atexit" in sys.modules:
        sys.modules["atexit"]._run_exitfuncs()
    sys.stdout.flush()
    sys.__stdout__.flush()

def script(code, given, source, sink):
    with open(source, "wb", closefd=False) as file:
        file.write(given.encode("utf-8", "surrogatepass"))
    os.lseek(source, 0, os.SEEK_SET)
    redirect(0, source)
    redirect(1, sink)
    printed = os.dup(1)
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", errors="replace", closefd=False)
    sys.stdout = sys.__stdout__ = open(
        1, "w", encoding="utf-8", errors="replace", newline="\n", closefd=False
    )
    try:
        run_script(code)
        os.lseek(printed, 0, os.SEEK_SET)
        with open(printed, "rb") as file:
            result = quote(file.read().decode("utf-8", "replace"))
    except BaseException as error:
        raised('"raised"', error)
    else:
        send('"value"', result)

def run(code, entry, inputs, streams):
    sys.argv[:] = ["program.py"]
    builtins.exit = builtins.quit = sys.exit  # what -S leaves out and programs use
    try:
        code = compile(code, "program.py", "exec", dont_inherit=True)
    except BaseException:
        return send('"syntax"')
    if entry is None:
        for given in inputs:
            script(code, given, *streams())
        return
    try:
        function = find(load(code, "program"), entry)
    except BaseException as error:
        return raised('"failed"', error)
    for arguments in inputs:
        call(function, arguments)
"""
"""Functions that run a program on its inputs. They need PIPE, the descriptor that results are written to;
`streams()` opens a script's stdin and stdout, empty files both."""

SOURCE = (
    HARNESS
    + r"""
def streams():
    os.chdir(FOLDER)
    opened = [os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600) for name in ("stdin", "stdout")]
    os.unlink("stdin")
    os.unlink("stdout")
    return opened

def main():
    with open(0, "rb", closefd=False) as file:
        code, entry, inputs, limits = eval(file.read())
    redirect(0, os.open(os.devnull, os.O_RDONLY))
    for name, (soft, hard) in limits.items():
        limit(name, soft, hard)
    send('"ready"')
    run(code, entry, inputs, streams)

PIPE, FOLDER = int(sys.argv[1]), os.getcwd()
main()
os._exit(0)  # threads and exit handlers of the program have no say
"""
)
"""The whole text for an interpreter of one program."""
