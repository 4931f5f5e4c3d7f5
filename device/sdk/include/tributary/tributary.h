#pragma once

#include <stddef.h>
#include <stdint.h>

// A device of a Tributary fleet inside your program. It learns from examples that your program gives it, sends what it
// learned, sealed, to a gateway, and predicts with the model that the fleet learned together, or with its own where that is
// better. For C99 and newer; C++ has tributary.hpp beside this file. Link with `pkg-config --libs tributary` or CMake's
// Tributary::tributary.
//
// Order.  tributary_open; tributary_enrol once, before the device may learn; then tributary_start (a thread of the
//   library) or tributary_tick again and again (a thread of yours). Collections and predictions work from
//   tributary_open on. tributary_stop, tributary_close. Everything is in one folder, and durable when a function
//   returns: a program that is killed at any point and started again goes on, to the same bits.
//
// Answers.  A function returns TRIBUTARY_OK, or the number of what went wrong from a closed list whose numbers never
//   change. tributary_code_name and tributary_code_explain know them all; this header names those that a program decides
//   by. `error` may be NULL; else it gets the same number and a sentence: what happened, what is safe, what to do. No
//   sentence holds a value of an example or a key. After a failure nothing was done, and what is returned through
//   pointers is NULL or 0, where a function does not say otherwise. A NULL that is not named as allowed, and a text that
//   is not UTF-8, are TRIBUTARY_INVALID_ARGUMENT.
//
// Structs.  Those that begin with struct_size grow in later versions, at their end. Set every byte to 0, then struct_size
//   to sizeof, then what you need; 0 and NULL mean the default. So a program runs with every later library, and with an
//   older one as long as it leaves at 0 what that one does not know; otherwise the call is refused. The other structs
//   never change. In an array of structs all have the same struct_size.
//
// Ownership.  What you hand over is read during the call and never kept, but for callbacks and their `user`, which must
//   live until tributary_close, or until others were set. Whatever is returned through a pointer to a pointer is yours:
//   one tributary_free frees all of it (a device: tributary_close). What a callback is given lives until it returns.
//
// Threads.  Any function may be called on any thread at any time, also many at once for one device. tributary_close
//   alone is the last call of its device: it waits for those that other threads are in, and ends what would take them long;
//   none may begin when it has returned. Programs with several devices use a folder for each.
//
// Callbacks  may call every function of this header, for the same device too, but these are refused there
//   (TRIBUTARY_CONFLICT): tributary_close, tributary_tick, and inside the log's tributary_set_log. tributary_stop returns at
//   once there, and the device stops when the callback has returned. While one runs the device waits: be short. They must
//   not throw or longjmp.
//
// Processes.  A model is trained and asked in a process of its own, tributary-learner: no model can harm your program.
//   The library installs no signal handler and writes nothing to standard output or error. A program that waits for any
//   child process (waitpid with -1) takes the exit status of the learner away, and with it the reason of a crash. After
//   fork, the child must not use a device of its parent.

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tributary_device tributary_device;

// ---- answers

enum {
  TRIBUTARY_OK = 0,
  TRIBUTARY_END = -1,  // only from tributary_source.next: there are no more examples

  TRIBUTARY_WRONG_ROLE = 7,           // the invitation or the identity is for another kind of member
  TRIBUTARY_TOO_LARGE = 11,           // an example, an answer, or what is to be allocated
  TRIBUTARY_UNKNOWN_TASK = 22,        // the fleet has no task of that name, as far as this device knows
  TRIBUTARY_BUSY = 50,                // passes by itself: try again
  TRIBUTARY_SHUTTING_DOWN = 51,       // stopped while it was under way
  TRIBUTARY_TIMEOUT = 52,             // the time that you gave is over; it can be begun again
  TRIBUTARY_DISK_FULL = 54,
  TRIBUTARY_IO = 70,
  TRIBUTARY_CORRUPT = 71,             // a file of the folder is damaged; nothing of it is used
  TRIBUTARY_LOCKED = 72,              // another process, or this one, has the folder open
  TRIBUTARY_MISSING_DATA = 74,        // of the identity: the device is not enrolled
  TRIBUTARY_DATABASE = 75,            // another process writes for long, or the disk failed
  TRIBUTARY_PERMISSIONS = 76,
  TRIBUTARY_CHILD_FAILED = 77,        // the learner's program cannot be started
  TRIBUTARY_LEARNER_CRASHED = 78,
  TRIBUTARY_LEARNER_MEMORY = 79,
  TRIBUTARY_LEARNER_TIMEOUT = 80,
  TRIBUTARY_LEARNER_PROTOCOL = 81,
  TRIBUTARY_CONFIG_INVALID = 92,      // of tributary_options
  TRIBUTARY_INVALID_ARGUMENT = 93,
  TRIBUTARY_NOT_FOUND = 94,           // collection, file, or: no version of the model has come yet
  TRIBUTARY_ALREADY_EXISTS = 95,
  TRIBUTARY_CONFLICT = 96,            // not in this state, or not as it is stored
  TRIBUTARY_NOT_SUPPORTED = 99,       // by the learner of this device
  TRIBUTARY_MISSING_FIELD = 101,
  TRIBUTARY_BAD_EXAMPLE = 103         // other fields, types, shapes or sizes; a value that is no finite number
};

typedef struct tributary_error {
  uint32_t struct_size;
  int32_t code;
  char message[512];  // ends with a 0; cut at a whole character
} tributary_error;

// Of the library that runs: "0.1.0".
const char* tributary_version(void);
// "not-found"; "unknown" for a number that this version does not have.
const char* tributary_code_name(int code);
// What happened, what is safe, what to do, of a code.
const char* tributary_code_explain(int code);
// For everything but devices that a function returned through a pointer to a pointer. NULL is allowed.
void tributary_free(void* returned);

// ---- log

enum { TRIBUTARY_LOG_DEBUG = 1, TRIBUTARY_LOG_INFO = 2, TRIBUTARY_LOG_WARNING = 3, TRIBUTARY_LOG_ERROR = 4 };

// A line without its end, as "2026-11-22T10:58:18.123Z info    agent.worked task=fashion version=3".
typedef void (*tributary_log_function)(void* user, int level, const char* line);

// Gives the lines of all devices of this process, from `level` up, to `log`, on the thread on which each comes about,
// also several at once. NULL: they go nowhere, as at the start. When it returns, the former function runs no more: hold no
// lock that it takes. What is logged inside it is dropped.
int tributary_set_log(tributary_log_function log, void* user, int level, tributary_error* error);

// ---- a device

typedef struct tributary_options {
  uint32_t struct_size;
  uint32_t retry_cap_seconds;   // the longest pause between attempts to connect; 0: 30
  const char* folder;           // where the device keeps all it has; made when absent, of mode 0700
  const char* gateway;          // "tcp://host:port" of a gateway, or of the aggregator
  const char* server_key;       // its key, 64 hexadecimal digits, as `tributary ca key DIR` prints it
  const char* identity_folder;  // keys and certificate; NULL: "identity" in `folder`
  const char* const* learner;   // the program that learns and its arguments, ended by NULL; NULL: tributary-learner in
                                // the folder bin beside the library's, or in PATH
  uint64_t learner_memory_mib;  // most address space of its process; 0: 4096
  uint32_t learner_cores;       // threads of it; 0: 1
  uint32_t learner_seconds;     // the longest that one fit may take; 0: 3600
  uint64_t outbox_max_mib;      // most that waits to be sent; 0: 1024
  uint32_t no_reports;          // not 0: the device's state (versions, counts, failures) is not sent
  uint32_t reserved;            // 0
} tributary_options;

// Without `gateway` the device has collections and predicts with what is there; it does not learn. `tributary-device`
// and its `data` and `status` take the folder's "data" as their data_dir.
// TRIBUTARY_LOCKED: the folder is open already, here or in another process; TRIBUTARY_CONFIG_INVALID names the option;
// TRIBUTARY_DISK_FULL, TRIBUTARY_IO, TRIBUTARY_PERMISSIONS.
int tributary_open(const tributary_options* options, tributary_device** device, tributary_error* error);
// Stops the device and lets go of its folder. NULL is allowed. TRIBUTARY_CONFLICT: inside a callback; the device stays.
int tributary_close(tributary_device* device, tributary_error* error);

// Makes the device a member: makes keys in the identity folder, asks for a certificate through the gateway with the file
// `invitation` (`tributary tokens create`; only its owner may read it), and waits until the fleet has decided, which may
// take a person. `id`: the one that it would like; NULL: the fleet chooses. Ended at any point and called again with the
// same arguments, it goes on with the same keys. Not while the device runs.
// TRIBUTARY_TIMEOUT: not decided within `timeout_ms` (0: as long as it takes); TRIBUTARY_SHUTTING_DOWN: tributary_stop;
// TRIBUTARY_ALREADY_EXISTS: it is a member; TRIBUTARY_WRONG_ROLE, TRIBUTARY_PERMISSIONS, TRIBUTARY_NOT_FOUND: of the
// invitation; the code of a refusal.
int tributary_enrol(tributary_device* device, const char* invitation, const char* id, uint32_t timeout_ms,
                    tributary_error* error);

enum {
  TRIBUTARY_CONNECTED = 1,         // to the gateway
  TRIBUTARY_DISCONNECTED = 2,      // code and text: why
  TRIBUTARY_VERSION_ARRIVED = 3,   // `version` of `task` is here, whole and verified
  TRIBUTARY_TRAINING_STARTED = 4,
  TRIBUTARY_TRAINED = 5,           // text: what it was measured at
  TRIBUTARY_MODEL_CHANGED = 6,     // predictions come from another model from now on; text: which
  TRIBUTARY_DELIVERED = 7,         // the gateway has custody of an update
  TRIBUTARY_WAITING = 8,           // nothing is trained, once for each reason; code and text: why
  TRIBUTARY_FAILED = 9             // code and text: why; the device goes on
};

typedef struct tributary_event {
  uint32_t struct_size;
  int32_t kind;      // of the list above; a later library may have more
  int32_t code;      // TRIBUTARY_OK when nothing went wrong
  uint32_t reserved;
  uint64_t version;  // 0: of none
  const char* task;  // "": of none
  const char* text;  // for people
} tributary_event;

// `event` is called on the thread that runs the device. NULL: nobody is told. Only while the device is stopped
// (TRIBUTARY_CONFLICT).
int tributary_set_events(tributary_device* device, void (*event)(void* user, const tributary_event* event), void* user,
                         tributary_error* error);
// `may_train` is asked before a fit begins and at least once a second while it runs, on a thread of the library: 0 ends
// the fit within a second. It begins again, with the same result, once the answer is another, and is asked every second
// until then. NULL: always. For "only while charging". Only while the device is stopped (TRIBUTARY_CONFLICT).
int tributary_set_conditions(tributary_device* device, int (*may_train)(void* user), void* user, tributary_error* error);

// Runs the device on a thread of the library until tributary_stop. Without a link it keeps trying, and says so by events.
// TRIBUTARY_MISSING_DATA: not enrolled; TRIBUTARY_CONFLICT: it runs already; TRIBUTARY_CONFIG_INVALID: no gateway;
// TRIBUTARY_CORRUPT, TRIBUTARY_IO, TRIBUTARY_DATABASE: of the folder.
int tributary_start(tributary_device* device, tributary_error* error);
// Runs the device on the calling thread for about `budget_ms` (0: what is due now). The first call does what
// tributary_start does, with its errors. `next_ms` (may be NULL): call again after so long at the latest, sooner when you
// can, because what comes over the network waits for the next call. Fits run on a thread of the library meanwhile.
// TRIBUTARY_BUSY: another thread is in a tick of this device.
int tributary_tick(tributary_device* device, uint32_t budget_ms, uint32_t* next_ms, tributary_error* error);
// Ends what tributary_start or tributary_tick began, and tributary_enrol. Returns when it has ended, as a rule within a
// second; a fit that is cut off begins again at the next start. It may be started again. Nothing happens when it is
// stopped.
int tributary_stop(tributary_device* device, tributary_error* error);

// JSON for people and programs, a new text each time, to be freed: whether it runs, its tasks and their progress and last
// failures, what waits in the outbox, its collections. Members may be added.
int tributary_status(tributary_device* device, char** json, tributary_error* error);

// ---- examples

enum {  // types of elements; little endian, a BOOL is one byte, 0 or 1
  TRIBUTARY_BOOL = 1,
  TRIBUTARY_UINT8 = 2,
  TRIBUTARY_INT8 = 3,
  TRIBUTARY_INT16 = 4,
  TRIBUTARY_INT32 = 5,
  TRIBUTARY_INT64 = 6,
  TRIBUTARY_FP32 = 7,
  TRIBUTARY_FP64 = 8
};

// Values in C order, one after the other, without gaps; `data` needs no alignment.
typedef struct tributary_tensor {
  const char* name;
  uint32_t dtype;
  uint32_t ndim;         // at most 8; 0: one number
  const int64_t* shape;  // NULL when ndim is 0
  const void* data;      // NULL when bytes is 0
  size_t bytes;          // as dtype and shape say; another number is refused
} tributary_tensor;

// A named tensor of each example, as a task's tributary.json asks for it.
typedef struct tributary_field {
  const char* name;  // [a-z0-9_.-], at most 64 characters
  uint32_t dtype;
  uint32_t ndim;
  const int64_t* shape;  // of one example; one dimension may be -1: its length varies from example to example
} tributary_field;

typedef struct tributary_collection {
  uint32_t struct_size;
  uint32_t field_count;
  const char* name;  // [a-z0-9_.-], at most 64 characters; tasks name it
  const tributary_field* fields;
  const char* purpose;       // for people; NULL: none
  uint64_t max_age_seconds;  // older examples go by themselves; 0: no such bound
  uint64_t max_count;        // the oldest go first; 0: no such bound
  uint64_t max_bytes;        // of values; 0: no such bound
  double held_out_share;     // of examples that are kept back to measure models; 0: a tenth; below 0: none; most 0.9
} tributary_collection;

typedef struct tributary_example {
  uint32_t struct_size;
  uint32_t tensor_count;            // one for each field, in any order
  const tributary_tensor* tensors;  // shaped as the fields: one example, without a batch dimension
  const char* id;     // unique in the collection, at most 256 bytes, does not begin with '#'; NULL: one is made
  const char* group;  // of examples that are removed together, a person's for instance; NULL: none
} tributary_example;

// Fields and held-out share are fixed; of a collection that is there, purpose and bounds become the given ones.
// TRIBUTARY_CONFLICT: it is there with other fields or another share; nothing was changed.
int tributary_create(tributary_device* device, const tributary_collection* collection, tributary_error* error);
// Adds all or none of `count` examples, durably: a call costs a write to disk, so many at once are much faster. Bounds are
// applied. TRIBUTARY_NOT_FOUND: no such collection; TRIBUTARY_BAD_EXAMPLE and TRIBUTARY_MISSING_FIELD say what does not
// fit; TRIBUTARY_ALREADY_EXISTS: the id; TRIBUTARY_TOO_LARGE: over 64 MiB of values in one.
int tributary_add(tributary_device* device, const char* collection, const tributary_example* examples, size_t count,
                  tributary_error* error);
// Removes for good: none of the bytes is left in any file of the folder; updates that wait to be sent and the personal
// model, which were made from them, go too, and are made again without them. `removed` may be NULL. Takes as long as
// writing the collection. TRIBUTARY_BUSY: they are removed, but bytes stay in the log for as long as somebody reads it, at
// most until the next sweep of the running device.
int tributary_remove(tributary_device* device, const char* collection, const char* id, uint64_t* removed,
                     tributary_error* error);
int tributary_remove_group(tributary_device* device, const char* collection, const char* group, uint64_t* removed,
                           tributary_error* error);
int tributary_clear(tributary_device* device, const char* collection, uint64_t* removed, tributary_error* error);
// With the collection itself.
int tributary_drop(tributary_device* device, const char* collection, uint64_t* removed, tributary_error* error);
int tributary_count(tributary_device* device, const char* collection, uint64_t* examples, tributary_error* error);

typedef struct tributary_collection_list {
  uint32_t struct_size;
  uint32_t count;
  const tributary_collection* collections;  // as they were created, ordered by name
  const uint64_t* examples;                 // how many each has
  const uint64_t* bytes;                    // of their values
} tributary_collection_list;
int tributary_list(tributary_device* device, tributary_collection_list** list, tributary_error* error);

// ---- examples that stay in your program

// A collection that your program keeps itself. For each fit the device opens an iterator, takes every example once and
// closes it, on the fit's thread; the library copies what it is given, to memory only. The same examples in the same order
// give the same update, also after a restart.
//
// open   may set *iterator, which is then given to the others; *iterator is NULL before.
// next   fills `example`, of which all but struct_size is 0 before; what it points to lives until the next call of next or
//        close. Returns TRIBUTARY_OK, TRIBUTARY_END, or what went wrong.
// close  is called once for each open that returned TRIBUTARY_OK.
//
// Any code of this header may be returned for what went wrong: one that passes (TRIBUTARY_BUSY, TRIBUTARY_IO) makes the
// device try again later, TRIBUTARY_SHUTTING_DOWN says that nothing is wrong and the program wants no fit now.
typedef struct tributary_source {
  uint32_t struct_size;
  uint32_t field_count;
  const char* collection;
  const tributary_field* fields;
  double held_out_share;  // as of tributary_collection; an example's id decides, or its values when it has none
  int (*open)(void* user, void** iterator);
  int (*next)(void* user, void* iterator, tributary_example* example);
  void (*close)(void* user, void* iterator);
  void* user;
} tributary_source;

// Only while the device is stopped (TRIBUTARY_CONFLICT), and again after each tributary_open. Another source for the same
// collection takes the place of the former. TRIBUTARY_ALREADY_EXISTS: the device itself keeps a collection of this name.
int tributary_host(tributary_device* device, const tributary_source* source, tributary_error* error);
// There are other examples than before; a task that waits for more looks again.
int tributary_host_changed(tributary_device* device, const char* collection, tributary_error* error);
// Examples were deleted for good: what was made from them goes, as tributary_remove says. Delete first, then call it.
// Durable.
int tributary_host_erased(tributary_device* device, const char* collection, tributary_error* error);

// ---- predictions

typedef struct tributary_prediction {
  uint32_t struct_size;
  uint32_t output_count;
  const tributary_tensor* outputs;  // named as in tributary.json
  uint64_t version;                 // of the fleet's model, on which it stands
  uint32_t personal;                // not 0: by the device's own model
  uint32_t reserved;
} tributary_prediction;

// Asks the model that the device now uses for `task`. `inputs`: a tensor for each input of tributary.json that is no
// target, with the batch as its first dimension, for example FP32 [n, 48]. The same inputs to the same model give the same
// bits. The model's process stays for the next call; it ends after some minutes without one, and when the model changes.
// Calls of several threads are answered one after the other.
// TRIBUTARY_NOT_FOUND: no version is here yet; TRIBUTARY_UNKNOWN_TASK; TRIBUTARY_MISSING_DATA: not enrolled, so that no
// model can be believed; TRIBUTARY_MISSING_FIELD, TRIBUTARY_BAD_EXAMPLE: of the inputs; TRIBUTARY_NOT_SUPPORTED: the device's learner does not predict; TRIBUTARY_CHILD_FAILED,
// TRIBUTARY_LEARNER_…: the learner, and the next call starts a new one.
int tributary_predict(tributary_device* device, const char* task, const tributary_tensor* inputs, size_t count,
                      tributary_prediction** prediction, tributary_error* error);

#ifdef __cplusplus
}
#endif
