"""What somebody who means no good would send: endless, but the same for the same seed."""

import json
import random
import secrets

import message

GOLDEN = message.FOLDER / "golden"
WRONG = [None, True, False, -1, 0, 1.5, 2**32, 2**64, "", "x", "x" * 9_000, "\0", [], [[]], {}, {"": {}}, ["front"] * 20]


def golden(folder):
    return [json.loads(path.read_text()) for path in sorted((GOLDEN / folder).glob("*.json"))]


def raw(said):
    return said.encode() if isinstance(said, str) else json.dumps(said).encode()


def wrong_joins():
    """A full `join` with every field, at any depth, replaced by everything that it must not be, and without it."""
    join = json.loads((GOLDEN / "valid/join-full.json").read_text())

    def places(value, path=()):
        for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
            yield (*path, key)
            yield from places(value[key], (*path, key))

    for path in places(join):
        for wrong in [*WRONG, "missing"]:
            copy = json.loads(json.dumps(join))
            # Each is another session, or all but the first would be repetitions.
            copy["session"] = secrets.token_hex(16)
            at = copy
            for key in path[:-1]:
                at = at[key]
            if wrong == "missing":
                del at[path[-1]]
            else:
                at[path[-1]] = wrong
            yield raw(copy)


def huge(chance):
    """More than anyone reads: long, deep, wide."""
    size = chance.choice([65_537, 100_000, 250_000])
    return chance.choice([
        b"x" * size,
        b"[" * size,
        b'{"v":1,"type":"probe","filler":"' + b"x" * size + b'"}',
        b'{"a":' * 12_000,
        raw({"v": 1, "type": "ice", "session": "0" * 32, "seq": 1, "complete": True, "candidates": [{"candidate": "c" * 1_000}] * 64}),
    ])


def mutated(chance, seeds):
    """A message that nearly is one."""
    bytes = bytearray(chance.choice(seeds))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(bytes) + 1)
        match chance.randrange(4):
            case 0:
                del bytes[at : at + chance.randint(1, 20)]
            case 1:
                bytes[at:at] = chance.randbytes(chance.randint(1, 20))
            case 2:
                bytes[at:] = chance.choice(seeds)[at:]
            case _:
                bytes[at : at + 1] = chance.choice([b"9", b"-", b"e", b"}", b'"', b"\xff", b"\\ud800", b"null"])
    return bytes


def stolen(chance, session):
    """Whatever might touch a session that is another peer's."""
    kind, fields = chance.choice([
        ("leave", {"reason": "closed"}),
        ("answer", {"re": 1, "sdp": "v=0"}),
        ("ice", {"candidates": [], "complete": True}),
        ("renew", {"token": "t"}),
        ("offer", {"sdp": "v=0", "mids": {}}),
        ("ack", {"ack": 4_000_000_000}),
        ("error", {"code": 59, "name": "UnknownError", "message": "?"}),
        ("cancel", {"reason": "closed"}),
    ])
    seq = None if kind in ("ack", "error") else chance.choice([0, 1, 2, 5, 31, 40, 2**32 - 1])
    return message.write(kind, session=session, seq=seq, **fields)


def false_join(chance):
    """A `join` that is good in itself, of someone who will not answer."""
    wants = chance.choice([{"video": True}, {"audio": True}, {"channels": ["control"]}, {"video": ["cellar"]}])
    return message.write("join", session=secrets.token_hex(16), seq=0, wants=wants, nonce="n")


def false_call(chance):
    """A `call` or `register` that is good in itself; `PEER` stands for whoever says it."""
    if chance.random() < 0.3:
        name = f"bell-{chance.randrange(200)}"
        return message.write("register", seq=chance.randrange(100), name=name, ttl=chance.choice([1, 60, 3600]))
    wants = chance.choice([None, {"video": True}, {"audio": ["cellar"]}])
    sdp = chance.choice([None, "v=0"])
    return message.write("call", session=secrets.token_hex(16), seq=0, nonce="n", wants=wants, sdp=sdp, **{"from": "PEER"})


def junk(seed, session):
    """Endless payloads; `session` is one that somebody else has."""
    chance = random.Random(seed)
    seeds = [raw(said) for folder in ("valid", "status") for said in golden(folder)]
    bad = [raw(case["message"]) for case in golden("invalid")]
    joins = list(wrong_joins())
    while True:
        match chance.randrange(11):
            case 0 | 1:
                yield chance.choice(bad)
            case 2 | 3:
                yield chance.choice(joins)
            case 4:
                yield chance.choice(seeds)
            case 5 | 6:
                yield bytes(mutated(chance, seeds))
            case 7:
                yield stolen(chance, session)
            case 8:
                yield false_join(chance)
            case 9:
                yield false_call(chance)
            case _:
                yield huge(chance) if chance.random() < 0.1 else chance.randbytes(chance.randint(0, 300))
