#!/usr/bin/env python3
"""A program behind the data channel `app:wheels`: it would drive a robot, and stops it when nobody holds the stick.

    [[app]]
    name = "wheels"
    socket = "/run/wheels.sock"

Usage: wheels.py /run/wheels.sock
"""

import json
import os
import socket
import sys
import threading


def serve(viewer):
    """One viewer, from its first packet to its last. README.md says what the first byte of a packet means."""
    who = {}
    while packet := viewer.recv(16385):
        tag, rest = packet[:1], packet[1:]
        if tag == b"n":
            word = json.loads(rest)
            if word["event"] == "open":
                who = word
                print(f"{who['peer']} may {' '.join(who['scopes'])}", flush=True)
            elif word["event"] in ("silent", "closed"):
                print(f"{who['peer']} {word['event']}: stop", flush=True)
                if word["event"] == "silent":
                    viewer.send(b"tstopped")
        elif tag == b"t":
            print(f"{who['peer']}: {rest.decode()}", flush=True)
            viewer.send(b"tmoving " + rest)
        else:
            viewer.send(packet)
    viewer.close()


def main(path):
    if os.path.exists(path):
        os.unlink(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        # Whoever may connect may drive: the node's user and group, and nobody else.
        os.chmod(path, 0o660)
        listener.listen()
        while True:
            viewer, _ = listener.accept()
            threading.Thread(target=serve, args=(viewer,), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1])
