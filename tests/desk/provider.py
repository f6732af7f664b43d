"""A small OpenID Connect provider on loopback, for tests: discovery, authorization, tokens, with PKCE checked."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT, SECRET = "havenline-desk", "kept in a file"


@dataclass
class Provider:
    """Who it says that everybody is, and what it changes of each ID token."""

    subject: str = "staff-1"
    changed: dict[str, Any] = field(default_factory=dict)
    issuer: str = ""
    codes: dict[str, str] = field(default_factory=dict)
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    def __enter__(self) -> Provider:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._answering())
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def authorize(self, asked: dict[str, list[str]]) -> str:
        """Where the browser is sent back to."""
        assert asked["response_type"] == ["code"]
        assert asked["client_id"] == [CLIENT]
        assert asked["scope"] == ["openid"]
        assert asked["code_challenge_method"] == ["S256"]
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked["code_challenge"][0]
        return f"{asked['redirect_uri'][0]}?{urlencode({'code': code, 'state': asked['state'][0]})}"

    def token(self, asked: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        challenge = self.codes.pop(asked["code"][0], None)
        verifier = asked.get("code_verifier", [""])[0].encode()
        proof = base64.urlsafe_b64encode(hashlib.sha256(verifier).digest()).rstrip(b"=").decode()
        if challenge != proof or asked["client_secret"] != [SECRET]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        said = {"iss": self.issuer, "sub": self.subject, "aud": CLIENT, "iat": now, "exp": now + 300} | self.changed
        said = {name: value for name, value in said.items() if value is not None}
        return 200, {"access_token": "x", "token_type": "Bearer", "id_token": jwt.encode(said, self.key, "RS256")}

    def _answering(provider) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Answering(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = urlsplit(self.path)
                if asked.path == "/authorize":
                    self.send_response(302)
                    self.send_header("Location", provider.authorize(parse_qs(asked.query)))
                    self.end_headers()
                    return
                at = provider.issuer
                self._json(
                    200,
                    {
                        "issuer": at,
                        "authorization_endpoint": f"{at}/authorize",
                        "token_endpoint": f"{at}/token",
                        "jwks_uri": f"{at}/keys",
                        "userinfo_endpoint": f"{at}/never-asked",
                        "token_endpoint_auth_methods_supported": ["client_secret_post"],
                    },
                )

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self._json(*provider.token(parse_qs(body)))

            def _json(self, status: int, said: dict[str, Any]) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(said).encode())

            def log_message(self, *said: object) -> None:
                pass

        return Answering
