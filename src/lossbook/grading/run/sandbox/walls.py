"""Shuts a forked process in: fresh namespaces, an empty file system of its own, limits, and a system-call filter."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
from collections.abc import Iterable
from typing import Any

libc = ctypes.CDLL(None, use_errno=True)

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 0x1000, 0x4000, 0x40000
PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 4, 38
CLONE_THREAD = 0x10000
AF_UNIX = 1
EPERM, EAGAIN, ENOSYS = 1, 11, 38

# What a student's process needs none of: it makes no process and no thread, starts no program, and changes nothing
# about the walls around it. Names that a machine's kernel or libseccomp does not know are left out.
DENIED = """
    fork vfork execve execveat ptrace process_vm_readv process_vm_writev process_madvise kcmp pidfd_open
    pidfd_getfd pidfd_send_signal unshare setns mount umount umount2 pivot_root chroot move_mount open_tree
    fsopen fsconfig fsmount fspick mount_setattr name_to_handle_at open_by_handle_at bpf perf_event_open
    userfaultfd keyctl add_key request_key io_uring_setup io_uring_enter io_uring_register kexec_load
    kexec_file_load init_module finit_module delete_module reboot swapon swapoff acct quotactl syslog iopl
    ioperm personality settimeofday clock_settime clock_adjtime adjtimex sethostname setdomainname nfsservctl
    lookup_dcookie vhangup mknod mknodat seccomp modify_ldt setrlimit shmget msgget semget mq_open migrate_pages
    move_pages mbind set_mempolicy fanotify_init inotify_init inotify_init1 sched_setscheduler sched_setattr
    setpriority ioprio_set sync syncfs landlock_create_ruleset memfd_create memfd_secret bind listen accept accept4
    connect
"""


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int, what: str) -> None:
    """Leave namespaces for fresh ones. Raises OSError where this may not be done."""
    _check(libc.unshare(flags), what)


def enter(namespace: int, kind: int) -> None:
    """Enter a namespace by its open file. Raises OSError where this may not be done."""
    _check(libc.setns(namespace, kind), "setns")


def own_namespaces() -> None:
    """Take fresh user, mount, network, IPC and host-name namespaces for this process."""
    user, group = os.geteuid(), os.getegid()
    unshare(NEWUSER | NEWNS | NEWNET | NEWIPC | NEWUTS, "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    _check(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "mount /")


def own_files(size: int) -> None:
    """Cover /proc with nothing and /tmp with an empty file system of ``size`` bytes."""
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    _check(libc.mount(b"none", b"/proc", b"tmpfs", flags | 1, b"size=4k,nr_inodes=2"), "mount /proc")
    options = f"size={size},nr_inodes=1000,mode=0700".encode()
    _check(libc.mount(b"none", b"/tmp", b"tmpfs", flags, options), "mount /tmp")
    os.chdir("/tmp")


def cover(files: Iterable[str]) -> None:
    """Have files read as empty in this process."""
    for file in files:
        _check(libc.mount(b"/dev/null", file.encode(), None, MS_BIND, None), f"mount {file}")


def no_capabilities() -> None:
    """Give up every capability, for good."""
    _check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    _check(libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")
    _check(libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "dumpable")


def limits(seconds: int, memory: int, file_size: int) -> None:
    """Limit processor time, address space, files and what little else is left. All limits hold for good."""
    bounds = {
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_FSIZE: file_size,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: 64,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    for kind, bound in bounds.items():
        resource.setrlimit(kind, (bound, bound))


def first_to_go() -> None:
    """Have the kernel end this process, and not the worker or the grader, where the machine's memory is used up."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")


def address_space() -> int:
    """Return the bytes of address space in use. To be asked before /proc is covered."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def call_filter() -> Any:
    """Return a system-call filter that is yet to be loaded; loading it costs half a millisecond."""
    import pyseccomp as seccomp

    made = seccomp.SyscallFilter(defaction=seccomp.ALLOW)
    for name in DENIED.split():
        try:
            made.add_rule(seccomp.ERRNO(EPERM), name)
        except (ValueError, OSError, RuntimeError):
            continue  # this kernel has no such call
    other_threads = seccomp.Arg(0, seccomp.MASKED_EQ, CLONE_THREAD, CLONE_THREAD)
    other_processes = seccomp.Arg(0, seccomp.MASKED_EQ, CLONE_THREAD, 0)
    made.add_rule(seccomp.ERRNO(EAGAIN), "clone", other_threads)  # Python says: can't start new thread
    made.add_rule(seccomp.ERRNO(EPERM), "clone", other_processes)
    made.add_rule(seccomp.ERRNO(ENOSYS), "clone3")  # its flags can't be seen: the C library then uses clone
    made.add_rule(seccomp.ERRNO(EPERM), "socket", seccomp.Arg(0, seccomp.NE, AF_UNIX))
    return made
