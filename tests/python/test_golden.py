"""The golden files and the schema, with the reference implementation of JSON Schema."""

import json
import unittest

from jsonschema import Draft202012Validator

import message

GOLDEN = message.FOLDER / "golden"


def golden(folder):
    """Names and contents, in order."""
    return [(path.stem, json.loads(path.read_text())) for path in sorted((GOLDEN / folder).glob("*.json"))]


def payload(said):
    """A text stands for raw bytes."""
    return said.encode() if isinstance(said, str) else json.dumps(said).encode()


class Golden(unittest.TestCase):
    def test_schema(self):
        """the schema is one of draft 2020-12"""
        Draft202012Validator.check_schema(message.SCHEMA)
        self.assertEqual(message.SCHEMA["$schema"], Draft202012Validator.META_SCHEMA["$id"])

    def test_valid(self):
        """every valid message fits the schema, and is read as it stands"""
        schema = Draft202012Validator(message.SCHEMA)
        for folder in ("valid", "status"):
            for name, said in golden(folder):
                with self.subTest(name):
                    schema.validate(said)
                    self.assertEqual(message.read(payload(said)), said)
                    fields = {key: value for key, value in said.items() if key not in ("v", "type")}
                    self.assertEqual(json.loads(message.write(said["type"], **fields)), said)

    def test_invalid(self):
        """no invalid message fits the schema, and each is refused with its error"""
        schema = Draft202012Validator(message.SCHEMA)
        for name, case in golden("invalid"):
            with self.subTest(name):
                said = case["message"]
                if not isinstance(said, str):
                    self.assertFalse(schema.is_valid(said), "it fits the schema")
                with self.assertRaises(message.Malformed) as refused:
                    message.read(payload(said))
                self.assertEqual(refused.exception.slug, case["error"])

    def test_null_is_absent(self):
        """a field that is null is a field that is absent"""
        for name, said in golden("valid"):
            with self.subTest(name):
                optional = set(message.SCHEMA["$defs"][said["type"]]["properties"]) - set(said)
                nulls = dict.fromkeys(optional)
                self.assertEqual(message.read(payload(said | nulls)), said)


if __name__ == "__main__":
    unittest.main()
