#!/usr/bin/env python3
"""Stops one thread of a running process in its tracks: `stop-thread.py PID NAME`.

To the process it is a thread that does not return from a system call, whatever it was doing: it takes nothing, gives nothing,
and holds what it has. Prints `stopped`, and waits for the thread's end; ended itself before that, it lets the thread go on.
"""

import ctypes
import os
import sys

# linux/ptrace.h, linux/wait.h
PTRACE_SEIZE = 0x4206
PTRACE_INTERRUPT = 0x4207
WALL = 0x40000000


def thread(pid, name):
    """The thread of this name."""
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/comm", encoding="utf-8") as comm:
            if comm.read().rstrip("\n") == name:
                return int(tid)
    sys.exit(f"process {pid} has no thread {name}")


def ask(request, tid):
    """One request that takes no argument."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(request, tid, None, None) < 0:
        sys.exit(f"thread {tid} cannot be stopped: {os.strerror(ctypes.get_errno())}")


def main():
    tid = thread(int(sys.argv[1]), sys.argv[2])
    ask(PTRACE_SEIZE, tid)
    ask(PTRACE_INTERRUPT, tid)
    while True:
        _, status = os.waitpid(tid, WALL)
        if not os.WIFSTOPPED(status):
            return
        print("stopped", flush=True)


main()
