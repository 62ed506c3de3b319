"""Attacks on processes, network, kernel and resources; see `attacks`."""

PROCESSES = r"""
## starts a process
def attack(v):
    child = os.fork()
    if child == 0: os._exit(0)
    os.waitpid(child, 0)
    return 'done'
## starts processes that outlive it
import time
def attack(v):
    for _ in range(20):
        if os.fork() == 0:
            os.setsid()
            time.sleep(30)
## starts a shell
import subprocess
def attack(v): subprocess.run(['/bin/sh', '-c', 'echo > "$0"', v['guarded'] + '/shell'])
## becomes a shell
def attack(v): os.execv('/bin/sh', ['/bin/sh', '-c', 'echo > "$0"', v['guarded'] + '/shell'])
## runs a program from memory
def attack(v):
    made = os.memfd_create('program')
    os.write(made, open('/bin/true', 'rb').read())
    return 'done'
## kills a process
def attack(v): os.kill(v['victim'], 9)
## stops a process
import signal
def attack(v): os.kill(v['victim'], signal.SIGSTOP)
## kills a thread of a process
def attack(v): call(234, 131, number(v['victim']), number(v['victim']), number(9))
## kills by a process descriptor
def attack(v):
    held = call(434, 434, number(v['victim']), number(0))
    call(424, 424, number(held), number(9), None, number(0))
## kills by a queued signal
def attack(v): call(129, 138, number(v['victim']), number(9), (ctypes.c_int * 32)(9, 0, -1))
## kills by the owner of a descriptor
import fcntl, signal
def attack(v):
    reader, writer = os.pipe()
    fcntl.fcntl(reader, 8, v['victim'])
    fcntl.fcntl(reader, 10, int(signal.SIGUSR1))
    fcntl.fcntl(reader, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    os.write(writer, b'x')
## signals its parent
import signal
def attack(v):
    os.kill(os.getppid(), signal.SIGURG)
    return 'done'
## signals whatever it may
import signal
def attack(v):
    os.kill(-1, signal.SIGURG)
    return 'done'
## traces a process
def attack(v):
    call(101, 117, number(0x4206), number(v['victim']), None, None)
    return 'done'
## slows a process down
def attack(v):
    os.setpriority(os.PRIO_PROCESS, v['victim'], 10)
    return 'done'
## moves a process to one core
def attack(v):
    os.sched_setaffinity(v['victim'], {0})
    return 'done'
## limits a process
import resource
def attack(v):
    resource.prlimit(v['victim'], resource.RLIMIT_NOFILE, (3, 3))
    return 'done'
## raises its own limits
import resource
def attack(v):
    most = resource.getrlimit(resource.RLIMIT_CPU)[1] + 60
    resource.setrlimit(resource.RLIMIT_CPU, (most, most))
    return 'done'
## makes itself traceable
def attack(v):
    if _libc.prctl(4, number(1), number(0), number(0), number(0)) == 0: return 'done'
## takes real-time priority
def attack(v):
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    return 'done'
## slows a process down at the disk
def attack(v):
    call(251, 30, number(1), number(v['victim']), number(3 << 13))
    return 'done'
## moves a process's memory
def attack(v):
    if call(256, 238, number(v['victim']), number(64), (ctypes.c_ulong * 1)(1), (ctypes.c_ulong * 1)(1)) == 0:
        return 'done'
## compares its parent's memory with its own
def attack(v):
    call(312, 272, number(os.getppid()), number(os.getpid()), number(1), number(0), number(0))
    return 'done'
## joins the group of its caller
def attack(v):
    os.setpgid(0, os.getpgid(v['suite']))
    return 'done'
## fills its user's queue of signals
import signal
def attack(v):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN + 3])
    for sent in range(1000):
        call(234, 131, number(os.getpid()), number(os.getpid()), number(signal.SIGRTMIN + 3))
    return 'done'
## makes a user namespace
def attack(v):
    if _libc.unshare(0x10000000) == 0: return 'done'
## makes a process by clone3
def attack(v):
    arguments = (ctypes.c_uint64 * 8)()
    arguments[4] = 17
    if call(435, 435, arguments, number(64)) == 0: os._exit(0)
    return 'done'
## calls the kernel in 32-bit mode
def attack(v):
    import mmap
    if not _x86: raise OSError
    code = mmap.mmap(-1, 4096, prot=7)
    code.write(bytes.fromhex('53b814000000cd805bc3'))  # push rbx; mov eax, getpid; int 0x80; pop rbx; ret
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    if ctypes.CFUNCTYPE(ctypes.c_int)(address)() == os.getpid(): return 'done'
"""

NETWORK = r"""
## opens a TCP connection
import socket
def attack(v): socket.create_connection(('127.0.0.1', v['tcp']), 2)
## sends a UDP packet
import socket
def attack(v): socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', v['udp']))
## connects to a unix socket
import socket
def attack(v): socket.socket(socket.AF_UNIX).connect(v['unix'])
## connects to an abstract unix socket
import socket
def attack(v): socket.socket(socket.AF_UNIX).connect('\0' + v['abstract'])
## listens on a port
import socket
def attack(v):
    made = socket.socket()
    made.bind(('127.0.0.1', 0))
    made.listen()
    return 'done'
## opens a netlink socket
import socket
def attack(v):
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    return 'done'
## passes descriptors over a pair of sockets
import socket
def attack(v):
    a, b = socket.socketpair()
    socket.send_fds(a, [b'x'], [0])
    return 'done'
"""

KERNEL = r"""
## sets up io_uring
def attack(v):
    call(425, 425, number(4), (ctypes.c_uint * 30)())
    return 'done'
## loads a bpf map
def attack(v):
    call(321, 280, number(0), (ctypes.c_uint * 32)(2, 4, 4, 1), number(64))
    return 'done'
## opens a performance counter
def attack(v):
    call(298, 241, (ctypes.c_uint * 32)(1, 112), number(0), number(-1), number(-1), number(0))
    return 'done'
## handles page faults
def attack(v):
    call(323, 282, number(1))
    return 'done'
## interrupts every processor
def attack(v):
    call(324, 283, number(1), number(0), number(0))
    return 'done'
## locks memory
import mmap
def attack(v):
    mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x2000)
    return 'done'
## lets data be code
def attack(v):
    call(135, 92, number(0x0400000))
    return 'done'
## names the machine
def attack(v):
    name = os.uname().nodename.encode()
    if _libc.sethostname(name, number(len(name))) == 0: return 'done'
## starts a timer of the kernel
def attack(v):
    call(222, 107, number(0), None, (ctypes.c_int * 4)())
    return 'done'
## makes hidden memory
def attack(v):
    call(447, 447, number(0))
    return 'done'
## adds a key to the kernel's ring
def attack(v):
    call(248, 217, b'user', b'a', b'b', number(1), number(-2))
    return 'done'
## watches a folder
def attack(v):
    call(294, 26, number(0))
    return 'done'
"""

RESOURCES = r"""
## loops without end
def attack(v):
    while True: pass
## loops in a thread and is deaf to its limit
import signal, threading
def attack(v):
    for name in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}: signal.signal(name, signal.SIG_IGN)
    threading.Thread(target=attack, args=(v,)).start() if threading.active_count() < 3 else None
    while True: pass
## sleeps
import time
def attack(v): time.sleep(600)
## stops itself
import signal
def attack(v): signal.raise_signal(signal.SIGSTOP)
## closes everything and sleeps
import time
def attack(v):
    os.closerange(0, 256)
    time.sleep(600)
## fills the memory
def attack(v):
    held = [b'a' * 2 ** 20 for _ in range(2 ** 12)]
    return 'done'
## fills the memory by pages
import mmap
def attack(v):
    held = [mmap.mmap(-1, 2 ** 26, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS) for _ in range(100)]
    return 'done'
## starts threads without end
import threading, time
def attack(v):
    threading.stack_size(32768)
    for _ in range(3000): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    return 'done'
## starts threads without end at once
def attack(v):
    import signal
    start, made = ctypes.c_ulong(), 0
    body = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: signal.pause())
    size = (ctypes.c_char * 64)()
    _libc.pthread_attr_init(size)
    _libc.pthread_attr_setstacksize(size, ctypes.c_size_t(65536))
    while _libc.pthread_create(ctypes.byref(start), size, _libc.pause, None) == 0: made += 1
    return 'done' if made > 200 else made
## writes its results a byte at a time
def attack(v):
    while True: os.write(3, b'a')
## crashes the reader by deep results
def attack(v):
    os.write(3, b'["value",' + b'[' * 30000 + b']' * 30000 + b']\n')
    os.write(3, b'["value",' + b'{"__tuple__":[' * 900 + b']}' * 900 + b']\n')
## lets its end take long
import mmap
def attack(v):
    held = [mmap.mmap(-1, 2 ** 20) for _ in range(150)]
    for one in held:
        for at in range(0, 2 ** 20, 4096): one[at] = 1
    os.abort()
## floods stdout, stderr
def attack(v):
    while True:
        os.write(1, b'a' * 2 ** 20)
        os.write(2, b'a' * 2 ** 20)
## returns too much
def attack(v): return 'a' * 10 ** 8
## returns a list that never ends
class Endless(list):
    def __iter__(self):
        while True: yield 1
def attack(v): return Endless()
## recurses until it crashes
import sys
def attack(v):
    sys.setrecursionlimit(10 ** 9)
    return attack(v)
## crashes
def attack(v): ctypes.string_at(0)
## leaves threads behind
import threading, time
def attack(v): threading.Thread(target=time.sleep, args=(60,)).start()
## opens files without end
def attack(v):
    held = [open(os.devnull) for _ in range(10 ** 5)]
    return 'done'
"""
