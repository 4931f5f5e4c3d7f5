"""Requests to one HTTP server that answers JSON and problem details (RFC 9457)."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Dict, Iterator, Optional, Union

from .errors import Error

_LONGEST_PAUSE = 30.0  # seconds between attempts to watch again


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


class Http:
    """Thread safe: each request has its own connection."""

    def __init__(
        self,
        url: str,
        token: str,
        ca_file: Optional[Union[str, "os.PathLike[str]"]],
        context: Optional[ssl.SSLContext],
        timeout: float,
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
            sentence = f"{url!r} is no URL of scheme, host and port, such as http://127.0.0.1:8080"
            raise Error("invalid-argument", sentence)
        if any(letter.isspace() for letter in token):
            raise Error("invalid-argument", "the token has a blank or a line break in it")
        self.url = url.rstrip("/")
        self._token = token
        self._timeout = timeout
        if context is None and parts.scheme == "https":
            context = ssl.create_default_context(cafile=os.fspath(ca_file) if ca_file is not None else None)
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), _NoRedirection(), urllib.request.HTTPSHandler(context=context)
        )

    def ask(self, method: str, path: str, body: Any, content_type: str, any_status: bool = False) -> bytes:
        headers = {"Content-Type": content_type} if body is not None else {}
        if hasattr(body, "fileno"):
            headers["Content-Length"] = str(os.fstat(body.fileno()).st_size)
        try:
            with self._open(method, path, body, headers) as answer:
                return answer.read()
        except urllib.error.HTTPError as refused:
            with refused:
                text = self._guarded(refused.read)
            if any_status:
                return text
            raise self._problem(refused, text) from None
        except (OSError, http.client.HTTPException) as failed:
            raise self._broken(failed) from None

    def has(self, path: str) -> bool:
        """Whether a HEAD of it is answered with 200."""
        try:
            self.ask("HEAD", path, None, "")
        except Error as problem:
            if problem.code in ("unknown-blob", "not-found"):
                return False
            raise
        return True

    @staticmethod
    def parsed(answer: bytes) -> Any:
        try:
            return json.loads(answer)
        except ValueError:
            raise Error("malformed", "the answer is not JSON, so this is no aggregator's API") from None

    def events(self, path: str, last_id: Optional[str]) -> Iterator[Dict[str, Any]]:
        """Server-sent events, for ever: what breaks is connected again. What is refused for good is raised."""
        pause = 0.0
        while True:
            headers = {"Accept": "text/event-stream"}
            if last_id:
                headers["Last-Event-ID"] = last_id
            try:
                with self._open("GET", path, None, headers) as stream:
                    pause = 0.0
                    for event in _events_in(stream):
                        last_id = event["id"] or last_id
                        if event["name"] != "hello":
                            yield event
            except urllib.error.HTTPError as refused:
                with refused:
                    problem = self._problem(refused, self._guarded(refused.read))
                if not problem.transient:
                    raise problem from None
                pause = max(pause, problem.retry_after or 0.0)
            except (OSError, http.client.HTTPException) as failed:
                broken = self._broken(failed)
                if not broken.transient:
                    raise broken from None
            time.sleep(pause)
            pause = min(max(2 * pause, 0.5), _LONGEST_PAUSE)

    def _open(self, method: str, path: str, body: Any, headers: Dict[str, str]) -> Any:
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        request = urllib.request.Request(self.url + path, data=body, headers=headers, method=method)
        return self._opener.open(request, timeout=self._timeout)

    def _guarded(self, read: Any) -> bytes:
        try:
            return read()
        except (OSError, http.client.HTTPException) as failed:
            raise self._broken(failed) from None

    def _problem(self, refused: urllib.error.HTTPError, text: bytes) -> Error:
        after = refused.headers.get("Retry-After", "")
        pause = float(after) if after.isdigit() else None
        try:
            told = json.loads(text)
            return Error(told["code"], told["detail"], told["remedy"], told["transient"], pause)
        except (ValueError, KeyError, TypeError):
            codes = {401: "unauthorized", 403: "forbidden", 404: "not-found"}
            return Error(codes.get(refused.code, "malformed"), f"{self.url} answered {refused.code} {refused.reason}")

    def _broken(self, failed: Exception) -> Error:
        reason: Any = getattr(failed, "reason", None) or failed
        if isinstance(reason, ssl.SSLCertVerificationError):
            sentence = f"{self.url}: {reason.verify_message}; ca_file names authorities to believe"
            return Error("unknown-certificate", sentence)
        if isinstance(reason, (socket.timeout, TimeoutError)):
            return Error("timeout", f"{self.url} has not answered for {self._timeout:g} s", transient=True)
        where = "; url or TRIBUTARY_URL names another" if isinstance(reason, ConnectionRefusedError) else ""
        return Error("unreachable", f"{self.url} cannot be reached: {reason}{where}", transient=True)


def _events_in(stream: Any) -> Iterator[Dict[str, Any]]:
    """Each event of the stream: its data, with its name and id (WHATWG HTML, "server-sent events")."""
    name, id_, data = "message", "", []
    for raw in stream:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if not line:
            if data:
                yield {**json.loads("\n".join(data)), "name": name, "id": id_}
            name, data = "message", []
            continue
        field, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if field == "event":
            name = value
        elif field == "id":
            id_ = value
        elif field == "data":
            data.append(value)
