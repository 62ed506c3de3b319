"""Attacks on what can be read and written; see `attacks`."""

READING = r"""
## reads a file outside its folder
def attack(v): return open(v['secret_file']).read()
## reads a key in ~/.ssh
def attack(v): return open(v['home'] + '/.ssh/id_rsa').read()
## reads the tests on disk
def attack(v): return open(v['tests']).read()
## reads /etc/passwd
def attack(v): return 'done' if 'root' in open('/etc/passwd').read() else ''
## lists the root folder
import os
def attack(v): return 'done' if os.listdir('/') else ''
## reads through a symbolic link
import os
def attack(v):
    os.symlink(v['secret_file'], 'link')
    return open('link').read()
## reads through a hard link
import os
def attack(v):
    os.link(v['secret_file'], 'link')
    return open('link').read()
## reads through /proc/self/root
def attack(v): return open('/proc/self/root' + v['secret_file']).read()
## reads by a call that C libraries do not use (openat2)
def attack(v):
    how = (ctypes.c_uint64 * 3)()
    opened = call(437, 437, number(-100), v['secret_file'].encode(), ctypes.byref(how), number(24))
    return os.read(opened, 99).decode()
## reads by a file handle
def attack(v):
    handle = (ctypes.c_uint * 34)(128)
    mount = ctypes.c_int()
    call(303, 264, number(-100), v['secret_file'].encode(), handle, ctypes.byref(mount), number(0))
    there = os.open(os.path.dirname(v['secret_file']), os.O_RDONLY)
    return os.read(call(304, 265, number(there), handle, number(0)), 99).decode()
## reads descriptors that the caller left open
def attack(v):
    found = []
    for descriptor in range(3, 256):
        try: found.append(os.pread(descriptor, 99, 0).decode(errors='replace'))
        except OSError: pass
    return found
## reads the environment of its callers
def attack(v):
    found = [str(os.environ)]
    for process in ('self', os.getppid(), v['suite']):
        try: found.append(open('/proc/%s/environ' % process, errors='replace').read())
        except OSError: pass
    return found
## reads the command line of its callers
def attack(v):
    found = []
    for process in (os.getppid(), v['suite']):
        try: found.append(open('/proc/%s/cmdline' % process, errors='replace').read())
        except OSError: pass
    return found
## reads its caller's memory
def attack(v):
    class Span(ctypes.Structure): _fields_ = [('base', ctypes.c_void_p), ('length', ctypes.c_size_t)]
    found = ctypes.create_string_buffer(v['length'])
    here, there = Span(ctypes.addressof(found), v['length']), Span(v['address'], v['length'])
    one = number(1)
    call(310, 270, number(v['suite']), ctypes.byref(here), one, ctypes.byref(there), one, number(0))
    return found.raw.decode()
## reads its caller's memory in /proc
def attack(v):
    opened = os.open('/proc/%d/mem' % v['suite'], os.O_RDONLY)
    return os.pread(opened, v['length'], v['address']).decode()
## reads its parent's memory in /proc
def attack(v): return 'done' if open('/proc/%d/maps' % os.getppid()).read() else ''
## copies a descriptor out of its caller
def attack(v):
    held = call(434, 434, number(v['suite']), number(0))
    return os.pread(call(438, 438, number(held), number(v['descriptor']), number(0)), 99, 0).decode()
## reads through its caller's working folder
def attack(v):
    os.chdir('/proc/%d/root' % v['suite'])
    return open(v['secret_file'][1:]).read()
## learns what its caller runs
def attack(v): return 'done' if os.readlink('/proc/%d/exe' % v['suite']) else ''
## reads the machine's memory
def attack(v): return 'done' if os.open('/dev/mem', os.O_RDONLY) else ''
## reads the kernel's log
def attack(v):
    found = ctypes.create_string_buffer(4096)
    return 'done' if call(103, 116, number(3), found, number(4096)) > 0 else ''
## searches its own memory for an earlier program
def attack(v):
    import gc, re
    found = [str(thing) for thing in gc.get_objects() if type(thing) in (list, dict, tuple)]
    low = id(found) & ~0xffffff
    for start in range(low - (1 << 24), low + (1 << 24), 4096):  # what cannot be read is skipped
        reader, writer = os.pipe()
        try:
            if _libc.write(writer, ctypes.c_void_p(start), 4096) == 4096:
                found.append(os.read(reader, 4096).decode('latin-1'))
        finally:
            os.close(reader)
            os.close(writer)
    return re.findall('earlier-[0-9a-f]+', ' '.join(found))
"""

WRITING = r"""
## writes a file outside its folder
def attack(v): open(v['guarded'] + '/new', 'w').write('x')
## makes a folder outside its own
def attack(v): os.mkdir(v['guarded'] + '/folder')
## deletes a file outside its folder
def attack(v): os.unlink(v['guarded'] + '/kept')
## empties a file outside its folder
def attack(v): os.truncate(v['guarded'] + '/kept', 0)
## empties a file that it opens to read
def attack(v): os.close(os.open(v['guarded'] + '/kept', os.O_RDONLY | os.O_TRUNC))
## empties a file that it opens neither to read nor to write
def attack(v): os.close(os.open(v['guarded'] + '/kept', 3 | os.O_TRUNC))
## moves a file into its folder
def attack(v): os.rename(v['guarded'] + '/kept', 'mine')
## makes a file readable for all
def attack(v): os.chmod(v['guarded'] + '/kept', 0o777)
## changes the times of a file
def attack(v): os.utime(v['guarded'] + '/kept', (1, 1))
## gives a file attributes
def attack(v): os.setxattr(v['guarded'] + '/kept', 'user.a', b'b')
## locks a file of the standard library
import colorsys, fcntl
def attack(v):
    fcntl.flock(open(colorsys.__file__), fcntl.LOCK_EX | fcntl.LOCK_NB)
    return 'done'
## makes a pipe with a name
def attack(v):
    os.mkfifo(v['guarded'] + '/pipe')
## leaves a queue of messages behind
def attack(v):
    call(68, 186, number(0), number(0o1600))
    return 'done'
## leaves a queue with a name behind
def attack(v):
    call(240, 180, v['name'].encode(), number(0o102), number(0o600), None)
    return 'done'
## writes to the kernel's log
def attack(v): os.write(os.open('/dev/kmsg', os.O_WRONLY), b'x')
## changes its own memory as a file
def attack(v): return 'done' if os.open('/proc/self/mem', os.O_RDWR) else ''
## lets another process be ended first
def attack(v):
    open('/proc/self/oom_score_adj', 'w').write('0')
    return 'done'
## leaves files with odd names for the next program
def attack(v):
    if os.listdir('.'): return 'done'
    for name in (b'\xff\xfe', b'a\nb', b'-rf', b'x' * 255): open(name, 'wb').close()
    os.mkdir('closed')
    open('closed/a', 'w').close()
    os.mkdir('shut', 0)
## leaves a file that waits for the disk
def attack(v):
    opened = os.open('a', os.O_WRONLY | os.O_CREAT | os.O_SYNC, 0o600)
    for _ in range(3): os.write(opened, b'a' * 2 ** 20)
    return 'done'
## writes all of the machine's files to disk
def attack(v):
    call(162, 81)
    return 'done'
## writes to /dev/shm
def attack(v): open('/dev/shm/' + v['name'], 'w').write('x')
## leaves shared memory behind
def attack(v):
    call(29, 194, number(0), number(4096), number(0o1600))
    return 'done'
## plants bytecode in the standard library
import colorsys
def attack(v):
    open(colorsys.__cached__ or colorsys.__file__, 'ab').close()
    return 'done'
## plants a module for the next program
def attack(v):
    if os.path.exists('json.py') or os.path.exists(v['marker']): return 'done'
    for name in ('json.py', 'json.cpython-311.pyc', 'a/b/c/json.py'):
        os.makedirs(os.path.dirname('./' + name), exist_ok=True)
        open(name, 'w').write('x')
## mounts over a folder
def attack(v):
    if _libc.mount(b'none', v['guarded'].encode(), b'tmpfs', number(0), None) == 0: return 'done'
## makes a device
import stat
def attack(v):
    os.mknod('disk', stat.S_IFBLK | 0o600, os.makedev(8, 0))
    return 'done'
## changes its root folder
def attack(v):
    os.chroot('.')
    return 'done'
## takes on root's identity
def attack(v):
    if os.getuid() == 0: return 'done'
    os.setuid(0)
    return 'done'
## fills the disk with large files
def attack(v):
    for i in range(10 ** 6):
        with open(str(i), 'wb') as file:
            for _ in range(15): file.write(b'a' * 2 ** 20)
## fills the disk with small files
def attack(v):
    for i in range(10 ** 7): open(str(i), 'wb').write(b'a' * 4096)
## fills the disk by a descriptor without a name
def attack(v):
    held = []
    for i in range(10 ** 6):
        held.append(open('a', 'wb', buffering=0))
        os.unlink('a')
        for _ in range(15): held[-1].write(b'a' * 2 ** 20)
## fills the disk by files that it has mapped
import mmap
def attack(v):
    held = []
    for i in range(10 ** 6):
        with open('a', 'wb+', buffering=0) as file:
            os.unlink('a')
            for _ in range(15): file.write(b'a' * 2 ** 20)
            held.append(mmap.mmap(file.fileno(), 4096))
## fills the disk by files replaced
def attack(v):
    held = []
    for i in range(10 ** 6):
        held.append(open('b', 'wb', buffering=0))
        for _ in range(15): held[-1].write(b'a' * 2 ** 20)
        os.replace('b', 'a')
## fills the disk by files that never had a name
def attack(v):
    held = []
    for i in range(10 ** 6):
        held.append(os.open('.', os.O_TMPFILE | os.O_WRONLY))
        for _ in range(15): os.write(held[-1], b'a' * 2 ** 20)
## nests folders deeper than any path
def attack(v):
    for _ in range(400):
        os.mkdir('a' * 100)
        os.chdir('a' * 100)
## removes its own folder
def attack(v):
    folder = os.getcwd()
    os.rmdir(folder)
    os.rename(os.path.dirname(folder), 'x')
"""
