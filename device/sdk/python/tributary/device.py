"""A device of a fleet inside this program: it learns from the program's examples and predicts with the fleet's
model."""
from __future__ import annotations

import atexit
import ctypes
import json
import os
import threading
import weakref
from ctypes import byref, c_char_p, c_uint32, c_uint64, c_void_p, cast
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from . import arrays as _arrays
from . import c_header as _c
from .c_examples import Column, fields_of, fill, guarded, hosted_source, inside_callback, text_of
from .errors import Error


class DeviceEvent(NamedTuple):
    """What happened to a device.

    kind: connected, disconnected, version-arrived, training-started, trained, model-changed, delivered, waiting,
        failed.
    """

    kind: str
    task: str  # "": of none
    version: int  # 0: of none
    code: str  # "": nothing went wrong
    text: str  # for people


class Prediction(Dict[str, Any]):
    """Output of the task -> array [n, ...].

    Attributes:
        version: of the fleet's model, on which it stands.
        personal: whether the device's own model made it.
    """

    version: int = 0
    personal: bool = False


class Device:
    """A device of a Tributary fleet in this program, over libtributary.so (device/sdk/include/tributary/tributary.h).

        with tributary.Device("state", "tcp://gateway:7101", key) as device:
            device.enrol("phone.invitation")                     # once
            device.create("digits", {"x": ("FP32", [64]), "label": ("INT64", [])})
            device.add("digits", {"x": images, "label": labels})
            device.start()
            scores = device.predict("digits", {"x": image})["output"]

    Everything is in one folder, and durable when a method returns. Methods may be called on any thread. The library
    calls `on_event` and `may_train` on its own thread; they may call every method but close and tick. A callback that
    raises prints its traceback; may_train counts as False then. All devices are closed when the program ends. Methods
    raise tributary.Error.

    Args:
        folder: where the device keeps all it has.
        gateway: "tcp://host:port"; without it the device does not learn.
        server_key: of the gateway, 64 hexadecimal digits (`tributary ca key DIR`).
        identity_folder: keys and certificate; without it "identity" in the folder.
        learner: the program that learns and its arguments, in the place of tributary-learner.
        learner_memory_mib, learner_cores, learner_seconds, outbox_max_mib, retry_cap_seconds: limits; 0: the default.
        reports: whether the device tells the fleet its versions, counts and failures.
        on_event: called with a DeviceEvent.
        may_train: asked before a fit and at least once a second during it; False ends the fit, which begins again
            later.
    """

    def __init__(
        self,
        folder: Union[str, "os.PathLike[str]"],
        gateway: Optional[str] = None,
        server_key: Optional[str] = None,
        *,
        identity_folder: Union[str, "os.PathLike[str]", None] = None,
        learner: Optional[Sequence[str]] = None,
        learner_memory_mib: int = 0,
        learner_cores: int = 0,
        learner_seconds: int = 0,
        outbox_max_mib: int = 0,
        retry_cap_seconds: int = 0,
        reports: bool = True,
        on_event: Optional[Callable[[DeviceEvent], None]] = None,
        may_train: Optional[Callable[[], bool]] = None,
    ) -> None:
        self._handle = c_void_p()
        self._folder = os.fspath(folder)
        self._changed = threading.Condition()  # for the next two
        self._calls = 0  # under way
        self._closing = False
        self._library = _c.library()
        self._fields: Dict[str, List[Tuple[str, str, List[int]]]] = {}
        # The library calls them for as long as the device is open.
        self._kept: Dict[str, Any] = {}
        command = (c_char_p * (len(learner) + 1))(*[text_of(word) for word in learner], None) if learner else None
        options = _c.Options(
            folder=text_of(folder),
            gateway=text_of(gateway),
            server_key=text_of(server_key),
            identity_folder=text_of(identity_folder),
            learner=command,
            learner_memory_mib=learner_memory_mib,
            learner_cores=learner_cores,
            learner_seconds=learner_seconds,
            outbox_max_mib=outbox_max_mib,
            retry_cap_seconds=retry_cap_seconds,
            no_reports=not reports,
        )
        self._library.call("open", byref(options), byref(self._handle))
        _open.add(self)
        if on_event is not None:
            self._kept["event"] = _c.ON_EVENT(_event_callback(self._library, on_event))
            self._call("set_events", self._kept["event"], None)
        if may_train is not None:
            self._kept["may_train"] = _c.MAY_TRAIN(guarded(lambda _: int(bool(may_train())), 0))
            self._call("set_conditions", self._kept["may_train"], None)

    # ---- its life

    def close(self) -> None:
        """Stops the device, waits for the calls of other threads, and lets go of its folder. Nothing happens when it is
        closed."""
        with self._changed:
            if not self._handle or self._closing:
                return
            self._closing = True
        try:
            if not inside_callback():  # where the library refuses it
                self._library.call("stop", self._handle)
                with self._changed:
                    self._changed.wait_for(lambda: self._calls == 0)
            self._library.call("close", self._handle)
            self._handle = c_void_p()
            self._kept.clear()
        finally:
            self._closing = False

    def __repr__(self) -> str:
        return f"tributary.Device({self._folder!r}{'' if self._handle else ', closed'})"

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __del__(self) -> None:
        try:
            self.close()
        except Exception:  # the library is gone, or this is one of its callbacks
            pass

    def enrol(self, invitation: Union[str, "os.PathLike[str]"], id: Optional[str] = None, timeout: float = 0) -> None:
        """Makes the device a member of the fleet with the file `invitation` (`tributary tokens create`), and waits
        until the fleet has decided, at most `timeout` seconds (0: as long as it takes). Called again it goes on with
        the same keys."""
        self._call("enrol", text_of(invitation), text_of(id), int(timeout * 1000))

    def start(self) -> None:
        """Runs the device on a thread of the library until stop."""
        self._call("start")

    def stop(self) -> None:
        """Returns when the device has stopped. It may be started again."""
        self._call("stop")

    def tick(self, seconds: float = 0) -> float:
        """Runs the device on this thread for about so long, in the place of start. Returns after how many seconds to
        call again."""
        following = c_uint32()
        self._call("tick", int(seconds * 1000), byref(following))
        return following.value / 1000

    def status(self) -> Dict[str, Any]:
        """Whether it runs, its tasks and their progress and last failures, what waits in the outbox, its
        collections."""
        return json.loads(self._returned_text("status"))

    # ---- examples

    def create(
        self,
        collection: str,
        fields: Mapping[str, Tuple[str, Sequence[int]]],
        *,
        purpose: Optional[str] = None,
        max_age_seconds: int = 0,
        max_count: int = 0,
        max_bytes: int = 0,
        held_out_share: float = 0.1,
    ) -> None:
        """Makes a collection, or gives one that is there its purpose and bounds.

        fields: name -> (dtype, shape of one example): {"x": ("FP32", [64]), "text": ("INT64", [-1])}; one length may be
        -1, which
        varies. dtypes: BOOL UINT8 INT8 INT16 INT32 INT64 FP32 FP64.
        """
        declared = fields_of(fields)
        made = _c.Collection(
            name=text_of(collection),
            field_count=len(declared),
            fields=declared,
            purpose=text_of(purpose),
            max_age_seconds=max_age_seconds,
            max_count=max_count,
            max_bytes=max_bytes,
            held_out_share=held_out_share if held_out_share > 0 else -1,
        )
        self._call("create", byref(made))
        self._fields[collection] = [(name, dtype, list(shape)) for name, (dtype, shape) in fields.items()]

    def add(
        self,
        collection: str,
        examples: Mapping[str, Any],
        ids: Optional[Sequence[str]] = None,
        groups: Optional[Sequence[str]] = None,
    ) -> int:
        """Adds all or none of n examples, durably, and returns n. A call costs a write to disk, so add many at once.

        examples: field -> array [n, ...], converted to the field's dtype; a list of n arrays, where a length varies.
        ids: unique in the collection. groups: of examples that are removed together, such as a person's.
        """
        if not isinstance(examples, Mapping):
            raise Error("bad-example", f"examples must be a dict of arrays by field, not {type(examples).__name__}")
        declared = self._fields_of_collection(collection)
        missing = [name for name, _, _ in declared if name not in examples]
        if missing or len(examples) != len(declared):
            raise Error(
                "missing-field",
                f"the examples of {collection} have the fields {', '.join(name for name, _, _ in declared)}; "
                f"given are {', '.join(examples)}",
            )
        columns = [Column(name, dtype, shape, examples[name]) for name, dtype, shape in declared]
        count = len(columns[0])
        if any(len(each) != count for each in (*columns, *filter(None, (ids, groups)))):
            raise Error("bad-example", "the fields, ids and groups are not of one number of examples")
        tensors = (_c.Tensor * (count * len(columns)))()
        for at, column in enumerate(columns):
            column.fill(tensors, at, len(columns))
        added = (_c.Example * count)()
        size, step, begin = (
            ctypes.sizeof(_c.Example),
            ctypes.sizeof(_c.Tensor) * len(columns),
            ctypes.addressof(tensors),
        )
        as_tensors = ctypes.POINTER(_c.Tensor)
        for i, one in enumerate(added):
            one.struct_size, one.tensor_count, one.tensors = size, len(columns), cast(begin + i * step, as_tensors)
            if ids is not None:
                one.id = text_of(ids[i])
            if groups is not None:
                one.group = text_of(groups[i])
        self._call("add", text_of(collection), added, count)
        return count

    def remove(self, collection: str, id: str) -> int:
        """Removes an example for good, and what was made from it. Returns how many there were."""
        return self._counted("remove", collection, id)

    def remove_group(self, collection: str, group: str) -> int:
        """The same of all examples of a group."""
        return self._counted("remove_group", collection, group)

    def clear(self, collection: str) -> int:
        """The same of all examples."""
        return self._counted("clear", collection)

    def drop(self, collection: str) -> int:
        """The same, with the collection itself."""
        self._fields.pop(collection, None)
        return self._counted("drop", collection)

    def count(self, collection: str) -> int:
        """How many examples it has."""
        return self._counted("count", collection)

    def collections(self) -> List[Dict[str, Any]]:
        """By name: {"name", "examples", "bytes", "fields", "purpose", "max_age_seconds", "max_count", "max_bytes",
        "held_out_share"}."""
        found = ctypes.POINTER(_c.CollectionList)()
        self._call("list", byref(found))
        try:
            listed = []
            for i in range(found.contents.count):
                one = found.contents.collections[i]
                fields = {
                    one.fields[k].name.decode(): (
                        _c.DTYPES[one.fields[k].dtype],
                        one.fields[k].shape[: one.fields[k].ndim],
                    )
                    for k in range(one.field_count)
                }
                listed.append(
                    {
                        "name": one.name.decode(),
                        "examples": found.contents.examples[i],
                        "bytes": found.contents.bytes[i],
                        "fields": fields,
                        "purpose": (one.purpose or b"").decode(),
                        "max_age_seconds": one.max_age_seconds,
                        "max_count": one.max_count,
                        "max_bytes": one.max_bytes,
                        "held_out_share": max(one.held_out_share, 0.0),
                    }
                )
            return listed
        finally:
            self._library.free(cast(found, c_void_p))

    def host(
        self,
        collection: str,
        fields: Mapping[str, Tuple[str, Sequence[int]]],
        examples: Callable[[], Iterable[Mapping[str, Any]]],
        held_out_share: float = 0.1,
    ) -> None:
        """A collection that the program keeps itself. Only while the device is stopped.

        examples: called for each fit, on another thread; returns an iterable of examples: field -> array of one
        example, and "id" and "group" (texts), where they have any and there are no fields of these names. The same ones
        in the same order give the same update.
        """
        source = hosted_source(fields, examples)
        source.collection, source.held_out_share = text_of(collection), held_out_share if held_out_share > 0 else -1
        self._call("host", byref(source))
        self._kept["host " + collection] = source

    def host_changed(self, collection: str) -> None:
        """There are other examples than before; a task that waits for more looks again."""
        self._call("host_changed", text_of(collection))

    def host_erased(self, collection: str) -> None:
        """Examples were deleted for good: what was made from them goes. Delete first, then call it."""
        self._call("host_erased", text_of(collection))

    # ---- predictions

    def predict(self, task: str, inputs: Mapping[str, Any]) -> Prediction:
        """Asks the model that the device now uses for the task.

        inputs: input of the task that is no target -> array [n, ...]. Real numbers of NumPy count as float32.
        """
        if not isinstance(inputs, Mapping):
            raise Error("bad-example", f"inputs must be a dict of arrays by name, not {type(inputs).__name__}")
        kept, given = [], (_c.Tensor * len(inputs))()
        for tensor, (name, value) in zip(given, inputs.items()):
            try:
                dtype = _arrays.dtype_of(value)
                raw, shape = _arrays.to_bytes(value, dtype)
            except (TypeError, ValueError) as bad:
                raise Error("bad-example", f"the input {name} is no array: {bad}") from None
            kept.append(fill(tensor, name, dtype, shape, raw))
        found = ctypes.POINTER(_c.Prediction)()
        self._call("predict", text_of(task), given, len(given), byref(found))
        try:
            prediction = Prediction()
            prediction.version, prediction.personal = found.contents.version, bool(found.contents.personal)
            for i in range(found.contents.output_count):
                one = found.contents.outputs[i]
                raw = ctypes.string_at(one.data, one.bytes) if one.bytes else b""
                prediction[one.name.decode()] = _arrays.from_bytes(
                    raw, _c.DTYPES[one.dtype], one.shape[: one.ndim] if one.ndim else []
                )
            return prediction
        finally:
            self._library.free(cast(found, c_void_p))

    # ---- inside

    def _call(self, name: str, *arguments: Any) -> None:
        with self._changed:
            if not self._handle or (self._closing and not inside_callback()):
                raise Error("conflict", "the device is closed")
            self._calls += 1
        try:
            self._library.call(name, self._handle, *arguments)
        finally:
            with self._changed:
                self._calls -= 1
                self._changed.notify_all()

    def _counted(self, name: str, *arguments: str) -> int:
        count = c_uint64()
        self._call(name, *map(text_of, arguments), byref(count))
        return count.value

    def _returned_text(self, name: str) -> str:
        text = c_void_p()
        self._call(name, byref(text))
        try:
            return ctypes.string_at(text).decode()
        finally:
            self._library.free(text)

    def _fields_of_collection(self, collection: str) -> List[Tuple[str, str, List[int]]]:
        if collection not in self._fields:
            for one in self.collections():
                self._fields[one["name"]] = [(name, dtype, shape) for name, (dtype, shape) in one["fields"].items()]
        if collection not in self._fields:
            raise Error("not-found", f"there is no collection {collection}; make it with Device.create")
        return self._fields[collection]


_open: "weakref.WeakSet[Device]" = weakref.WeakSet()
_log: Any = None


@atexit.register
def _close_all() -> None:
    """Before Python is gone, which the library's threads call."""
    for device in list(_open):
        try:
            device.close()
        except Error:
            pass


def set_log(function: Optional[Callable[[str, str], None]], level: str = "info") -> None:
    """Gives the lines of all devices of this program, from `level` up (debug, info, warning, error), to function(level,
    line), on several threads. None: they go nowhere, as at the start."""
    global _log
    names = {number: name for name, number in _c.LEVELS.items()}
    callback = (
        _c.ON_LOG()
        if function is None
        else _c.ON_LOG(
            guarded(lambda _, number, line: function(names.get(number, "error"), line.decode(errors="replace")), None)
        )
    )
    _c.library().call("set_log", callback, None, _c.LEVELS[level])
    _log = callback  # the former may go now


def _event_callback(library: _c.Library, on_event: Callable[[DeviceEvent], None]) -> Callable[..., None]:
    def call(_: Any, event: Any) -> None:
        one = event.contents
        kind = _c.EVENTS[one.kind] if 0 <= one.kind < len(_c.EVENTS) else str(one.kind)
        on_event(
            DeviceEvent(
                kind,
                (one.task or b"").decode(),
                one.version,
                library.code_name(one.code) if one.code else "",
                (one.text or b"").decode(errors="replace"),
            )
        )

    return guarded(call, None)
