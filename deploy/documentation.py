"""The service's OpenAPI description as one page that needs nothing from anywhere else."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --line: #8886; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2.5rem; border-top: 1px solid var(--line);
padding-top: 1rem; overflow-wrap: anywhere; }
pre { border: 1px solid var(--line); border-radius: .4rem; padding: .6rem; white-space: pre-wrap;
overflow-wrap: anywhere; }
td { vertical-align: top; padding: .1rem .8rem .1rem 0; }
"""


def documentation(described: dict[str, Any]) -> str:
    """An OpenAPI description → HTML: every route with what it takes, an example and what it answers."""
    about = described["info"]
    title = escape(f"{about['title']} {about['version']}")
    routes = "".join(
        line
        for path, methods in described["paths"].items()
        for method, route in methods.items()
        for line in _route(method.upper(), path, route, described["components"]["schemas"])
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>"
        f"<p>{escape(about.get('description', ''))} For programs the same is in "
        '<a href="openapi.json">openapi.json</a>; <a href="./">a page</a> to try it.</p>'
        f"{routes}</body></html>\n"
    )


def _route(method: str, path: str, route: dict[str, Any], schemas: dict[str, Any]) -> Iterator[str]:
    yield f"<h2>{method} {escape(path)}</h2><p>{escape(route.get('description', ''))}</p>"
    body = route.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body:
        kinds = [_resolved(kind, schemas) for kind in body.get("oneOf", [body])]
        sent = json.dumps(_example(kinds[0], schemas))
        asked = f"curl -H 'Content-Type: application/json' -d '{sent}' http://HOST:PORT{path}"
        titles = " or ".join(escape(kind["title"]) for kind in kinds)
        yield f"<pre>{escape(asked, quote=False)}</pre><p>The body, {titles}:</p>"
        yield from (_schema(kind, schemas) for kind in kinds)
    yield "<table>"
    for status, answer in route["responses"].items():
        schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
        named = schema.get("$ref", "").rpartition("/")[2]
        yield f"<tr><td>{status}</td><td>{escape(answer['description'])}</td><td>{escape(named)}</td></tr>"
    yield "</table>"
    good = route["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema", {})
    if "$ref" in good:
        yield _schema(_resolved(good, schemas), schemas)


def _schema(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    text = json.dumps(_whole(schema, schemas), indent=2, ensure_ascii=False)
    return f"<details><summary>{escape(schema['title'])}</summary><pre>{escape(text)}</pre></details>"


def _resolved(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return found


def _whole(value: Any, schemas: dict[str, Any]) -> Any:
    """A schema with what it refers to written out."""
    if isinstance(value, dict):
        value = _resolved(value, schemas)
        return {key: _whole(inner, schemas) for key, inner in value.items()}
    return [_whole(inner, schemas) for inner in value] if isinstance(value, list) else value


def _example(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """A body made of the examples that a schema's fields have."""
    fields = ((name, _resolved(field, schemas)) for name, field in schema["properties"].items())
    return {name: field["examples"][0] for name, field in fields if "examples" in field}
