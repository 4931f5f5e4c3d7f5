"""An aggregator's API, from Python. Needs the standard library only."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import urllib.parse
from typing import Any, Dict, Iterator, List, Mapping, Optional, Union

from . import arrays, programs
from .errors import Error
from .http import Http
from .operations import OPERATIONS
from .package import Package, read_package
from .records import Record, Records

PathLike = Union[str, "os.PathLike[str]"]
DEFAULT_URL = "http://127.0.0.1:8080"


class Client:
    """The calls of an aggregator (aggregator/api/openapi.yaml), as methods; those without one by `call`.

    >>> client = Client(token_file="token")
    >>> client.create_task("weather", "forecast.tpkg", plan={"epochs": 5, "round": {"report_goal": 2, "minimum": 2}})
    >>> client.start_rounds("weather", 5)
    >>> for event in client.watch("weather"):
    ...     print(event["name"], event["round"])
    >>> client.rounds("weather").to_frame()
    >>> client.weights("weather")["net.0.weight"].shape

    Every method raises tributary.Error: with the code, sentence and remedy of the aggregator's answer, or with
    "unreachable", "timeout", "unknown-certificate" or "malformed" of the way there. Thread safe: each call has its own
    connection. No proxy is used and no redirection followed, since the token would go along.
    """

    def __init__(
        self,
        url: Optional[str] = None,
        token: Optional[str] = None,
        token_file: Optional[PathLike] = None,
        ca_file: Optional[PathLike] = None,
        ssl_context: Any = None,
        timeout: float = 30.0,
    ) -> None:
        """Asks nothing yet.

        url: scheme, host and port; None: TRIBUTARY_URL, or else http://127.0.0.1:8080.
        token: as `tributary-aggregator token add` printed it; or token_file: the file that holds it; neither:
            TRIBUTARY_TOKEN. What anybody may read needs none.
        ca_file: PEM, the authorities to believe in an aggregator's certificate; None: the system's.
        ssl_context: an ssl.SSLContext of your own instead.
        timeout: seconds without a byte either way.
        """
        if token is None and token_file is not None:
            with open(token_file, encoding="utf-8") as file:
                token = file.read()
        if token is None:
            token = os.environ.get("TRIBUTARY_TOKEN", "")
        url = url or os.environ.get("TRIBUTARY_URL") or DEFAULT_URL
        self._http = Http(url, token.strip(), ca_file, ssl_context, timeout)

    @property
    def url(self) -> str:
        return self._http.url

    def __repr__(self) -> str:
        return f"tributary.Client({self.url!r})"

    # ---- every call

    def call(self, operation_id: str, **params: Any) -> Any:
        """Any call by its operationId in openapi.yaml, as call("pinVersion", task="weather", version=3, reason="2.1").

        `params`: those of the path and the query, and the members of the JSON body; for putBlob `body`: bytes, or a
        file opened for reading. Returns what the answer is: JSON as dicts and lists, bytes, text, or for
        watchEvents a generator of events. One page of a list; `pages` has them all. isReady answers also when it is
        not ready.
        """
        if operation_id not in OPERATIONS:
            known = ", ".join(OPERATIONS)
            raise Error("invalid-argument", f"the API has no operation {operation_id!r}; it has {known}")
        operation = OPERATIONS[operation_id]
        left = {name: value for name, value in params.items() if value is not None}

        def in_path(match: "re.Match[str]") -> str:
            if match[1] not in left:
                raise Error("invalid-argument", f"{operation_id} needs {match[1]}")
            return urllib.parse.quote(str(left.pop(match[1])), safe="")

        path = re.sub(r"\{(\w+)\}", in_path, operation.path)
        query = {name: left.pop(name) for name in operation.query if name in left}
        if query:
            path += "?" + urllib.parse.urlencode(query)
        if operation.answer == "events":
            return self._http.events(path, left.pop("last_event_id", None))
        body: Any = None
        if operation.body == "json":
            body, left = json.dumps(left).encode(), {}
        elif operation.body == "bytes":
            body = left.pop("body", b"")
        if left:
            raise Error("invalid-argument", f"{operation_id} takes no {', '.join(left)}")
        kind = "application/json" if operation.body == "json" else "application/octet-stream"
        answer = self._http.ask(operation.method, path, body, kind, any_status=operation.answer == "readiness")
        if operation.answer == "bytes":
            return answer
        if operation.answer == "text":
            return answer.decode()
        return self._http.parsed(answer)

    def pages(self, operation_id: str, **params: Any) -> Iterator[Record]:
        """All items of a list, over all its pages."""
        follow = "after" if operation_id == "readAudit" else "cursor"
        while True:
            page = self.call(operation_id, **params)
            yield from page["items"]
            params[follow] = page.get("next" if follow == "after" else "next_cursor")
            if params[follow] is None:
                return

    # ---- tasks and rounds

    def tasks(self) -> Records:
        """All tasks, by name."""
        columns = ["id", "latest_version", "rounds_wanted", "parameters", "created"]
        return Records(self.pages("listTasks"), columns)

    def task(self, task: str) -> Record:
        """One task, with its manifest, tensor table, plan, policy and bounds."""
        return self.call("getTask", task=task)

    def create_task(self, task: str, package: Any, plan: Optional[Mapping[str, Any]] = None) -> Record:
        """Creates a task. Returns it.

        package: the TaskFile of tributary.export, the file of `tributary-device pack` (.tpkg), or a TorchScript
            file, which that program packs.
        plan: the keys of [training]; or the tables "training", "round" and "bounds", as a plan's TOML file has
            them. Keys of training may stand beside the other two tables.
        """
        if not isinstance(package, Package):
            package = load_package(package)
        request = {"id": task, "tensors": package.tensors, **plan_tables(plan)}
        if package.manifest is not None:
            request["manifest"] = package.manifest
        request["module"] = self.put_blob(package.module)
        request["weights"] = self.put_blob(package.weights)["digest"]
        return self.call("createTask", **request)

    def rounds(self, task: str) -> Records:
        """The task's rounds, oldest first."""
        columns = ["number", "state", "contributions", "bytes_up", "metrics", "closed"]
        return Records(self.pages("listRounds", task=task), columns)

    def round(self, task: str, number: int) -> Record:
        return self.call("getRound", task=task, round=number)

    def start_rounds(self, task: str, count: int) -> Record:
        """Runs so many rounds more, one after the other. Returns the round that is open now."""
        return self.call("startRounds", task=task, count=count)

    def cancel_rounds(self, task: str) -> Record:
        """Cancels the open round and those still wanted. Returns the task."""
        return self.call("cancelRounds", task=task)

    def watch(self, task: Optional[str] = None, last_event_id: Optional[str] = None) -> Iterator[Record]:
        """What happens, as it happens: a generator without an end of events {"name", "id", "at", "round", …}, as
        the schema Event of openapi.yaml has them.

        It connects again when the connection breaks, and goes on behind the last event that it has seen. An event named
        "events.lost" says that some in between are not known any more: look at the rounds again. `last_event_id`: where
        to begin; None: now.
        """
        return self.call("watchEvents", task=task, last_event_id=last_event_id)

    # ---- versions

    def versions(self, task: str) -> Records:
        """The versions of the task's model, oldest first."""
        columns = ["version", "round", "weights.size", "metrics", "pinned", "pruned", "created"]
        return Records(self.pages("listVersions", task=task), columns)

    def version(self, task: str, version: Optional[int] = None) -> Record:
        """One version; None: the latest."""
        if version is None:
            version = self.task(task)["latest_version"]
        return self.call("getVersion", task=task, version=version)

    def weights(self, task: str, version: Optional[int] = None) -> Dict[str, Any]:
        """The shared weights of a version, None: of the latest: tensor's name -> float32 array of its shape.

        numpy.ndarray when numpy is installed, else memoryview. Tensors that stay on devices, or that are not
        trained, are not among them.
        """
        shown = self.task(task)
        values = self.blob(self.version(task, version or shown["latest_version"])["weights"]["digest"])
        return arrays_of(shown["tensors"], values)

    def export(self, task: str, path: PathLike, version: Optional[int] = None) -> Record:
        """Writes a version, None: the latest, as TorchScript that torch.jit.load opens. Returns the version.

        Needs the program tributary-device on this machine.
        """
        shown = self.task(task)
        record = self.version(task, version or shown["latest_version"])
        export_module(self.blob(shown["module"]["digest"]), self.blob(record["weights"]["digest"]), path)
        return record

    def rollback(self, task: str, to: int, reason: str) -> Record:
        """Publishes a new version with the weights of version `to`. Cancels the open round. Returns the new version."""
        return self.call("rollBack", task=task, to=to, reason=reason)

    def blob(self, digest: str) -> bytes:
        """A blob's bytes, compared with the digest."""
        data = self.call("getBlob", digest=digest)
        if hashlib.sha256(data).hexdigest() != digest:
            raise Error("digest-mismatch", f"what came as blob {digest} is another")
        return data

    def put_blob(self, data: bytes) -> Record:
        """Puts bytes. Returns {"digest", "size"}. Sends nothing when the aggregator has them."""
        digest = hashlib.sha256(data).hexdigest()
        if self._http.has(OPERATIONS["getBlob"].path.format(digest=digest)):
            return {"digest": digest, "size": len(data)}
        return self.call("putBlob", digest=digest, body=data)

    # ---- members

    def devices(self, state: Optional[str] = None) -> Records:
        """Devices and evaluators. state: only pending, refused, active or revoked ones."""
        columns = ["id", "role", "device_class", "enrolment.state", "last_seen", "uploads", "attention"]
        return Records(self.pages("listDevices", state=state), columns)

    def device(self, device: str) -> Record:
        """One device, with its enrolment and what it last reported of itself."""
        return self.call("getDevice", device=device)

    def approve(self, device: str, replaces_key: bool = False) -> Record:
        """Lets a member in that waits. replaces_key: a device that was set up anew; its old key goes out."""
        return self.call("approveDevice", device=device, **({"replaces_key": True} if replaces_key else {}))

    def revoke(self, device: str, reason: str) -> Record:
        """Puts a member out, for good."""
        return self.call("revokeDevice", device=device, reason=reason)

    def gateways(self) -> Records:
        """Gateways of the whole tree, as they last described themselves."""
        columns = ["id", "parent", "last_seen", "late", "connected_clients", "spooled_uploads", "trouble"]
        return Records(self.pages("listGateways"), columns)

    def gateway(self, gateway: str) -> Record:
        return self.call("getGateway", gateway=gateway)

    def tokens(self) -> Records:
        """Enrolment tokens, without their secrets."""
        return Records(self.pages("listEnrolmentTokens"))

    def create_token(self, token: str, **settings: Any) -> Record:
        """Makes an enrolment token. settings: role, device_class, labels, expires_seconds, uses, approved.

        Returns the invitation, for a file that is given to whoever sets the members up: it holds the secret, and is
        seen only now. `json.dump` writes it.
        """
        return self.call("createEnrolmentToken", id=token, **settings)["invitation"]

    def remove_token(self, token: str) -> Record:
        """Nobody enrols with it any more; who has, stays."""
        return self.call("removeEnrolmentToken", token=token)

    def audit(self, after: int = 0) -> Records:
        """Who changed what, from behind entry `after` on."""
        columns = ["sequence", "time", "actor", "action", "target", "outcome"]
        return Records(self.pages("readAudit", after=after, limit=1000), columns)

    def ready(self) -> Record:
        """{"ready", "checks"}: whether the aggregator is of use, and if not, why. Needs no token."""
        return self.call("isReady")


def plan_tables(plan: Optional[Mapping[str, Any]]) -> Dict[str, Any]:
    """{"epochs": 5, "round": {…}} as the members plan, policy and bounds of a request."""
    given = dict(plan or {})
    tables = {name: dict(table) for name, table in given.items() if isinstance(table, Mapping)}
    loose = {name: value for name, value in given.items() if name not in tables}
    training = {**tables.pop("training", {}), **loose}
    named = {"plan": training, "policy": tables.pop("round", None), **tables}
    return {name: table for name, table in named.items() if table}


def arrays_of(tensors: List[Record], values: bytes) -> Dict[str, Any]:
    """Cuts float32 values into arrays by a task's tensor table."""
    sizes = [4 * arrays.elements(tensor["shape"]) for tensor in tensors]
    if sum(sizes) != len(values):
        raise Error("malformed", f"{len(values)} bytes of weights do not fit the task's tensor table")
    named, at = {}, 0
    for tensor, size in zip(tensors, sizes):
        named[tensor["name"]] = arrays.from_bytes(values[at : at + size], "FP32", tensor["shape"])
        at += size
    return named


def load_package(path: Any) -> Package:
    """Reads a .tpkg file, or that of a TaskFile; has tributary-device make one of any other file."""
    path = getattr(path, "package", path)  # of a TaskFile
    if os.fspath(path).endswith(".tpkg"):
        return read_package(path)
    with tempfile.TemporaryDirectory(prefix="tributary-") as folder:
        packed = os.path.join(folder, "model.tpkg")
        programs.run("tributary-device", "pack", os.fspath(path), "--out", packed)
        return read_package(packed)


def export_module(module: bytes, weights: bytes, path: PathLike) -> str:
    """Has tributary-device write the weights into the module. Returns what it said, such as how inputs are scaled."""
    if not module.startswith(b"PK"):
        raise Error(
            "not-supported",
            "the task has no module, so there is no TorchScript to write; take its arrays from weights, or write "
            "a .npz of them with: tributary models export",
        )
    out = os.path.abspath(os.fspath(path))
    with tempfile.TemporaryDirectory(prefix=".tributary-", dir=os.path.dirname(out)) as folder:
        parts = {"module": module, "weights": weights}
        for name, data in parts.items():
            with open(os.path.join(folder, name), "wb") as file:
                file.write(data)
        made = os.path.join(folder, "model.pt")
        words = [word for name in parts for word in (f"--{name}", os.path.join(folder, name))]
        said = programs.run("tributary-device", "export", *words, "--out", made)
        os.replace(made, out)
    return said
