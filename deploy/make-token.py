#!/usr/bin/env python3
"""Makes a token for camera-node with an HS256 key, with nothing but Python's own library.

make-token.py SECRET-FILE KID NODE PEER SCOPE SECONDS

A backend does the same for each viewer that it lets in. For EdDSA, whose private key never comes near the camera, a library is
needed; with PyJWT the last line of `token` is

    return jwt.encode(claims, open(private_pem).read(), algorithm="EdDSA", headers={"kid": kid})
"""

import base64
import hashlib
import hmac
import json
import secrets
import sys
import time


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token(secret, kid, node, peer, scope, seconds):
    now = int(time.time())
    claims = {
        "aud": node,                      # the node's id; several: a list
        "peer": peer,                     # the viewer's id, or its beginning and *
        "exp": now + seconds,             # when it ends
        "jti": secrets.token_hex(16),     # keep it: it is what the node's list of revoked tokens names
        "scope": scope,                   # "view", "view talk control files"
    }
    header = {"alg": "HS256", "kid": kid, "typ": "JWT"}
    message = b".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
    return message + b"." + base64url(hmac.new(secret, message, hashlib.sha256).digest())


if __name__ == "__main__":
    if len(sys.argv) != 7:
        sys.exit(__doc__)
    path, kid, node, peer, scope, seconds = sys.argv[1:]
    with open(path, "rb") as file:
        secret = file.read().removesuffix(b"\n")
    print(token(secret, kid, node, peer, scope, int(seconds)).decode())
