"""Writes python.json: what Python's re, str.lower and dict make of random keys
and documents. Run as: python3 python.py > python.json"""
import json
import random
import re

CAMEL = re.compile(r"[a-z0-9]?_[a-z0-9]")
SNAKE = re.compile(
    r"([a-z0-9]|[A-Z]?(?=[A-Z0-9](?=[a-z0-9]|(?<![A-Z])$)))"
    r"([A-Z]|(?<=[a-z])[0-9](?=[0-9A-Z]|$)|(?<=[A-Z])[0-9](?=[0-9]|$))"
)
SNAKE_NO_NUMBER = re.compile(r"([a-z0-9]|[A-Z]?(?=[A-Z](?=[a-z])))([A-Z])")


def camel(key):
    return CAMEL.sub(lambda m: m.group()[:-2] + m.group()[-1].upper(), key)


def snake(key, expression=SNAKE):
    return expression.sub(r"\1_\2", key).lower().lstrip("_")


def rewrite(value, rule):
    if isinstance(value, dict):
        out = {}
        for key, below in value.items():
            out[rule(key)] = rewrite(below, rule)
        return out
    if isinstance(value, list):
        return [rewrite(item, rule) for item in value]
    return value


def text(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


rng = random.Random(1)
PLAIN = "aabBcCzZ0129___"
WIDE = PLAIN + "éÉßΣσςİıЖжǅ名😀.'\n\"\\\u0307 "


def random_key(longest):
    alphabet = rng.choice([PLAIN, PLAIN, WIDE])
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(0, longest)))


def random_document(depth):
    """JSON text, in which keys may repeat."""
    kind = rng.randint(0, 5 if depth else 2)
    if kind < 2:
        return rng.choice(["0", "-1", "null", "true", '"a_b"', '"aB"', "[]", "{}"])
    if kind == 2:
        return "[" + ",".join(random_document(depth - 1) for _ in range(rng.randint(0, 3))) + "]" if depth else "[]"
    members = []
    for _ in range(rng.choice([1, 2, 4, 12])):
        name = json.dumps(random_key(4), ensure_ascii=rng.random() < 0.2)
        members.append(name + ":" + random_document(depth - 1))
    return "{" + ",".join(members) + "}"


keys = sorted({random_key(9) for _ in range(2500)})
documents = sorted({random_document(3) for _ in range(160)})
out = {
    "about": __doc__,
    "keys": [[k, camel(k), snake(k), snake(k, SNAKE_NO_NUMBER)] for k in keys],
    "documents": [[d, text(rewrite(json.loads(d), camel)), text(rewrite(json.loads(d), snake))] for d in documents],
}
print("{")
print('"about":', json.dumps(out["about"]), ",")
print('"keys": [\n' + ",\n".join(json.dumps(k) for k in out["keys"]) + "],")
print('"documents": [\n' + ",\n".join(json.dumps(d) for d in out["documents"]) + "]\n}")
