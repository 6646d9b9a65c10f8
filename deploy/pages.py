"""The service's pages, which load nothing from elsewhere: to try the model, and to document the routes."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import jinja2
from fastapi.responses import HTMLResponse

_FOLDER = Path(__file__).parent


def try_page() -> HTMLResponse:
    """The page to try the model."""
    return _response((_FOLDER / "page.html").read_text(encoding="utf-8"))


def documentation_page(openapi: dict[str, Any]) -> HTMLResponse:
    """An OpenAPI description as a page: every route with what it takes, an example and what it answers."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    examples = {
        name: {
            field: values["examples"][0]
            for field, values in schema.get("properties", {}).items()
            if "examples" in values
        }
        for name, schema in openapi["components"]["schemas"].items()
    }
    page = environment.get_template("docs.html").render(openapi, examples=examples)
    return _response(page.strip() + "\n")


def _response(page: str) -> HTMLResponse:
    """With a content policy under which the page's own style and script run, and nothing else."""
    hashes = {}
    for tag in ("style", "script"):
        code = "".join(re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.S))
        hashes[tag] = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    policy = (
        "default-src 'none'; "
        f"script-src 'sha256-{hashes['script']}'; style-src 'sha256-{hashes['style']}'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {"content-security-policy": policy, "x-content-type-options": "nosniff"}
    return HTMLResponse(page, headers=headers)
