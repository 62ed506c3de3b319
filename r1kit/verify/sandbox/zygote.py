"""What runs inside a zygote: a process that forks a locked-in child for each program, as text.

A zygote never holds anything of a program: code, inputs and results go between the caller and the child
through descriptors that the zygote only passes on, so that no child can find a former program's solution in
the memory that it is forked with. From the caller it gets numbers, and it returns numbers:

    {"resources": {…}, "script": false, "wall": 8.0, "sleep": 3.0, "folder_bytes": …}
                                      + two descriptors: payload, results
    b"end"                            the caller has read enough
    {"status": 0, "cpu": 0.004, "asleep": 0, "full": false, "clean": true}
                                      the child is dead and its folder empty

The child gives up its rights before it sees the payload. `program_child.HARNESS` then runs the program.
"""

from __future__ import annotations

from r1kit.verify.program_child import HARNESS

PRELOADED = (
    *("abc", "argparse", "array", "ast", "base64", "binascii", "bisect", "bz2", "calendar", "cmath"),
    *("collections", "collections.abc", "concurrent.futures.thread", "contextlib", "copy", "csv", "ctypes"),
    *("dataclasses", "datetime", "decimal", "difflib", "enum", "fractions", "functools", "gc", "graphlib"),
    *("hashlib", "heapq", "hmac", "inspect", "io", "itertools", "json", "keyword", "locale", "lzma", "math"),
    *("numbers", "operator", "pathlib", "pprint", "queue", "random", "re", "secrets", "shutil", "signal"),
    *("statistics", "string", "struct", "tempfile", "textwrap", "threading", "time", "timeit", "traceback"),
    *("types", "typing", "unicodedata", "uuid", "warnings", "weakref", "zlib", "zoneinfo"),
    *("encodings.ascii", "encodings.idna", "encodings.latin_1", "encodings.utf_16"),
)
"""Modules that programs use and that need not be read again for each."""

SOURCE = (
    HARNESS
    + r"""
import ctypes, errno, gc, importlib, json, random, select, signal, socket, struct, threading, time

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 8, 22, 38
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
CAPSET = {"x86_64": 126, "aarch64": 91}
DAC_READ_SEARCH = 1 << 2
NEW_USER_NAMESPACE = 0x10000000
POLL_SECONDS = 0.05  # how often the size of the folder and the threads are looked at
MOST_THREADS = 64  # of a program
MOST_PENDING = 64  # queued signals, which are counted by user as processes are
STACK_BYTES = 8 << 20  # whatever the caller's limit: a thread's stack counts as memory
MOST_ENTRIES = 2000  # files and folders of a program
MOST_PROCESSES = 1 << 22  # of a machine
libc = ctypes.CDLL(None, use_errno=True)

def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

def prctl(option, *values):
    values = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)][:4]
    return check(libc.prctl(ctypes.c_int(option), *values))

def syscall(number, *values):
    return check(libc.syscall(ctypes.c_long(number), *values))

def add_rule(ruleset, path, rights):
    opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        attributes = struct.pack("=Qi", rights, opened)
        syscall(ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(1), attributes, ctypes.c_uint(0))
    finally:
        os.close(opened)

def library_entries():
    # Everything in the standard library's folders but what was installed beside it.
    for folder in filter(os.path.isdir, sys.path):
        for entry in os.scandir(folder):
            if entry.name not in ("site-packages", "dist-packages"):
                yield entry

def make_ruleset(request):
    attributes = struct.pack("=%dQ" % len(request["attributes"]), *request["attributes"])
    ruleset = syscall(CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0))
    for entry in library_entries():
        try:
            add_rule(ruleset, entry.path, request["read"] if entry.is_dir() else request["read_file"])
        except FileNotFoundError:  # a link to nothing
            pass
    for path in filter(os.path.isdir, request["readable"]):
        add_rule(ruleset, path, request["read"])
    add_rule(ruleset, FOLDER, request["scratch"])
    add_rule(ruleset, os.devnull, request["null"])
    return ruleset

def as_user(uid, action):
    try:
        os.setresgid(-1, uid, -1)
        os.setresuid(-1, uid, -1)
        return action()
    finally:
        os.setresuid(-1, 0, -1)
        os.setresgid(-1, 0, -1)

def choose_user():
    # A user without any process or file, where this one may take on another; else None.
    if os.geteuid() != 0:
        return None
    try:
        os.setgroups([])
        for uid in (CONFIG["user"], 65534):
            try:
                as_user(uid, os.getpid)
            except OSError:  # not a user of this namespace
                continue
            os.chown(FOLDER, uid, uid)
            return uid
    except OSError:  # root in name only
        pass
    return None

def can_read_library():
    # Whether the user gets at the interpreter's own files and at its folder, which may lie in a closed home.
    return all(os.access(path, os.R_OK, effective_ids=True) for path in (os.__file__, FOLDER))

def take_user():
    if USER is not None:
        if KEPT:
            prctl(PR_SET_KEEPCAPS, 1)
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)

def drop_rights():
    take_user()
    if NAMESPACE:
        check(libc.unshare(ctypes.c_int(NEW_USER_NAMESPACE)))
    header, data = struct.pack("=Ii", 0x20080522, 0), struct.pack("=6I", KEPT, KEPT, 0, 0, 0, 0)
    syscall(CAPSET[os.uname().machine], header, data)

def in_fork(action):
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(not action())
        finally:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0

def allows_one_more():
    drop_rights()
    limit("NPROC", 2, 2)
    return in_fork(lambda: True)

def counts_apart():
    # Whether a program's processes and threads are counted by themselves, not with the others of its user. In
    # a namespace, one of the same user outside is the trial: Linux before 5.14 counts it.
    if NAMESPACE:
        return in_fork(lambda: (take_user(), in_fork(allows_one_more))[1])
    return USER == CONFIG["user"] and in_fork(allows_one_more)

def fork(processes):
    # As os.fork; gives NPROC, the program's limit of processes. Where they count with the user's others, a
    # fork fails when these leave no room for a program; the limit is then set higher, for good.
    global SHARED
    if APART:
        return os.fork(), MOST_THREADS
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    SHARED = max(SHARED, processes)
    while True:
        limit("NPROC", max(0, SHARED - MOST_THREADS), hard)
        try:
            return os.fork(), SHARED
        except BlockingIOError:
            if SHARED > MOST_PROCESSES:
                raise
            SHARED *= 2
        finally:
            resource.setrlimit(resource.RLIMIT_NPROC, (soft, hard))

def lock_in(parent):
    drop_rights()
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    prctl(PR_SET_DUMPABLE, 0)
    if os.getppid() != parent:
        os._exit(1)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    if RULESET is not None:
        syscall(RESTRICT_SELF, ctypes.c_int(RULESET), ctypes.c_uint(0))
    struct.pack_into("=I", FILTER, CONFIG["pid_at"], os.getpid())
    prctl(PR_SET_SECCOMP, 2, ctypes.addressof(PROGRAM))

def keep_only(*wanted):
    # Moves the descriptors to 3, 4, … and closes every other one above.
    moved = [fcntl.fcntl(each, fcntl.F_DUPFD, 3 + len(wanted)) for each in wanted]
    for target, each in enumerate(moved, start=3):
        os.dup2(each, target)
    os.closerange(3 + len(moved), 1024)  # a zygote has a handful
    return range(3, 3 + len(moved))

def die_first():
    # Where the machine runs out of memory, the program and not the trainer is to be ended.
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        pass

def child(settings, processes, payload, results, parent):
    global PIPE
    PIPE = results
    try:
        os.setsid()
        opened = [os.memfd_create(name) for name in ("stdin", "stdout")] if settings["script"] else []
        for name, (soft, hard) in settings["resources"].items():
            if name not in ("NOFILE", "NPROC"):
                limit(name, soft, hard)
        limit("STACK", STACK_BYTES, resource.getrlimit(resource.RLIMIT_STACK)[1])
        limit("SIGPENDING", MOST_PENDING, MOST_PENDING)
        die_first()
        random.seed(0)  # a fork would be seeded from the system's randomness
        lock_in(parent)
        PIPE, payload, *opened = keep_only(results, payload, *opened)
        limit("NOFILE", *settings["resources"]["NOFILE"])
        limit("NPROC", processes, processes)
        with open(payload, "rb") as file:
            code, entry, inputs = eval(file.read())
        send('"ready"')
    except BaseException as error:
        send(quote("%s: %s" % (type(error).__name__, error)))
        os._exit(1)
    try:
        run(code, entry, inputs, lambda: opened)
    finally:
        os._exit(0)  # threads and exit handlers of the program have no say

def entries(folder, most):
    # Every entry below the folder, inner ones first, up to `most`.
    found = []
    for entry in os.scandir(folder):
        if len(found) >= most:
            break
        if entry.is_dir(follow_symlinks=False):
            found += entries(entry.path, most - len(found) - 1)
        found.append(entry)
    return found

def too_large(most_bytes):
    try:
        found = entries(FOLDER, MOST_ENTRIES)
        used = sum(entry.stat(follow_symlinks=False).st_blocks * 512 for entry in found)
    except FileNotFoundError:  # it has just been removed
        return False
    except (OSError, RecursionError):  # a name too long, a closed folder, nested too deeply
        return True
    return len(found) >= MOST_ENTRIES or used > most_bytes

def empty_folder():
    try:
        for entry in entries(FOLDER, MOST_ENTRIES):
            (os.rmdir if entry.is_dir(follow_symlinks=False) else os.unlink)(entry.path)
        return not os.listdir(FOLDER)
    except (OSError, RecursionError):
        return False

def too_many_threads(pid):
    try:
        return os.stat("/proc/%d/task" % pid).st_nlink - 2 > MOST_THREADS
    except OSError:  # it has ended, or there is no /proc
        return False

def is_asleep(pid):
    # Whether no thread runs, waits for a processor or for a disk: a busy machine puts no program to sleep.
    states = set()
    try:
        for thread in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/stat" % (pid, thread), "rb") as file:
                states.add(file.read().rpartition(b")")[2].split()[0])
    except OSError:  # one has ended, or /proc hides it
        return False
    return not states & {b"R", b"D"} and bool(states & {b"S", b"T", b"t"})

def watch(pid, settings):
    # Until the caller has read enough: whether the folder was too large, and how often the program was found
    # asleep; None if the caller is gone.
    deadline, most_asleep = time.monotonic() + settings["wall"], settings["sleep"] / POLL_SECONDS
    alive, full, asleep = True, False, 0
    while not select.select([CONTROL], [], [], POLL_SECONDS if alive else None)[0]:
        full = too_large(settings["folder_bytes"])
        asleep += is_asleep(pid)
        if full or too_many_threads(pid) or asleep > most_asleep or time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            alive = False
    return (full, asleep * POLL_SECONDS) if CONTROL.recv(16) else None

def serve():
    me = os.getpid()
    while True:
        message, descriptors, _, _ = socket.recv_fds(CONTROL, 4096, 2)
        if not message:
            return
        settings = json.loads(message)
        pid, processes = fork(settings["resources"]["NPROC"][0])
        if pid == 0:
            try:
                child(settings, processes, *descriptors, me)
            finally:
                os._exit(1)
        for descriptor in descriptors:
            os.close(descriptor)
        watched = watch(pid, settings)
        os.kill(pid, signal.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
        clean = empty_folder()
        if watched is None:
            return
        full, asleep = watched
        cpu = usage.ru_utime + usage.ru_stime
        reply = {"status": os.waitstatus_to_exitcode(status), "cpu": cpu, "asleep": asleep}
        CONTROL.send(json.dumps({**reply, "clean": clean, "full": full}).encode())

CONTROL, FOLDER = socket.socket(fileno=os.dup(0)), os.getcwd()
redirect(0, os.open(os.devnull, os.O_RDONLY))
CONFIG = json.loads(CONTROL.recv(1 << 18))
for name in CONFIG["preloaded"]:
    try:
        importlib.import_module(name)
    except ImportError:  # a module that this interpreter was built without
        pass
import fcntl
FILTER = ctypes.create_string_buffer(bytes.fromhex(CONFIG["filter"]))
LINES = len(CONFIG["filter"]) // 16
PROGRAM = ctypes.create_string_buffer(struct.pack("@HP", LINES, ctypes.addressof(FILTER)))
RULESET = make_ruleset(CONFIG["landlock"]) if CONFIG["landlock"] else None
USER = choose_user()
KEPT = 0
if RULESET is not None and USER is not None and not as_user(USER, can_read_library):
    KEPT = DAC_READ_SEARCH  # which files it opens is Landlock's to say
NAMESPACE = USER != CONFIG["user"] and not KEPT  # where the capability would be worth nothing
APART = counts_apart()
NAMESPACE = NAMESPACE and APART
SHARED = 0  # the limit of processes of a user's programs that are not counted apart
threading.stack_size(STACK_BYTES)
prctl(PR_SET_DUMPABLE, 0)
time.tzset()
gc.collect()
gc.freeze()
CONTROL.send(json.dumps({"user": USER, "apart": APART}).encode())
serve()
empty_folder()
os.chdir("/")
try:
    os.rmdir(FOLDER)
except OSError:
    pass
os._exit(0)
"""
)
