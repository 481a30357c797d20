"""Messages of PROTOCOL.md (sections 2 and 6), read strictly and written in one way."""

import json
from pathlib import Path

from jsonschema import Draft202012Validator

FOLDER = Path(__file__).resolve().parents[2] / "src/session"
SCHEMA = json.loads((FOLDER / "schema/message.schema.json").read_text())
ERRORS = {row["slug"]: row for row in json.loads((FOLDER / "errors.json").read_text())}
BY_CODE = {row["code"]: row for row in ERRORS.values()}
TYPES = [choice["$ref"].rsplit("/", 1)[1] for choice in SCHEMA["oneOf"]]
MAX_BYTES = 65_536

VALIDATORS = {
    kind: Draft202012Validator({"$defs": SCHEMA["$defs"], "$ref": f"#/$defs/{kind}"}) for kind in TYPES
}


class Malformed(Exception):
    """A message that cannot be read, with what is needed to answer it."""

    def __init__(self, slug, detail, session=None, seq=None, is_error=False):
        super().__init__(f"{slug}: {detail}")
        self.slug, self.session, self.seq, self.is_error = slug, session, seq, is_error


def read(payload, default_type=None):
    """The message in these bytes; `default_type` on a status topic, where the type may be missing."""
    if len(payload) > MAX_BYTES:
        raise Malformed("badMessage", "too long")
    try:
        found = json.loads(payload.decode("utf-8"), parse_constant=no_number)
    except (ValueError, RecursionError) as problem:
        raise Malformed("badMessage", f"no JSON: {problem}") from None
    if not isinstance(found, dict):
        raise Malformed("badMessage", "no object")
    message = without_nulls(found)
    slug, detail = problem_of(message, default_type)
    if slug is None:
        return {"type": default_type, **message}
    session, seq = message.get("session"), message.get("seq")
    raise Malformed(
        slug,
        detail,
        session if fits("sessionId", session) else None,
        seq if fits("u32", seq) else None,
        message.get("type") == "error",
    )


def write(kind, **fields):
    """The bytes of a message; fields that are `None` are left out."""
    message = {"v": 1, "type": kind} | {key: value for key, value in fields.items() if value is not None}
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def failure(slug, re=None):
    """The fields of an `error`."""
    row = ERRORS[slug]
    versions = [1] if slug == "unsupportedVersion" else None
    return {"re": re, "code": row["code"], "name": row["name"], "message": row["message"], "versions": versions}


def ends(error):
    """Whether an `error` is the end of the session it names."""
    row = BY_CODE.get(error["code"])
    return row is None or row["ends"]


def problem_of(message, default_type):
    version, kind = message.get("v"), message.get("type", default_type)
    if not isinstance(version, int) or isinstance(version, bool) or version < 0:
        return "badMessage", "no version"
    if version != 1:
        return "unsupportedVersion", str(version)
    if not isinstance(kind, str):
        return "badMessage", "no type"
    if kind not in VALIDATORS:
        return "unsupported", kind
    problem = next(VALIDATORS[kind].iter_errors({"type": kind, **message}), None)
    return (None, None) if problem is None else ("badMessage", problem.message[:200])


def fits(name, value):
    return Draft202012Validator(SCHEMA["$defs"][name]).is_valid(value)


def without_nulls(value):
    """A field that is `null` is absent, at any depth."""
    if isinstance(value, dict):
        return {key: without_nulls(field) for key, field in value.items() if field is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def no_number(word):
    raise ValueError(f"{word} is no JSON")
