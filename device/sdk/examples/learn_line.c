/* A whole application in C99: it becomes a member, gives a device points of the line y = 2a - b, learns with the fleet until
   the version comes that was asked for, and predicts. It has no thread: the device lives in tributary_tick. Ended at any
   point, also by kill -9, and started again, it goes on.

     learn_line FOLDER GATEWAY SERVER_KEY INVITATION VERSION [LEARNER...] */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tributary/tributary.h>

enum { POINTS = 40 };

static tributary_error error = {.struct_size = sizeof(error)};

static void check(int code) {
  if (code == TRIBUTARY_OK) return;
  fprintf(stderr, "%s: %s\n", tributary_code_name(code), error.message);
  exit(1);
}

static void on_event(void* user, const tributary_event* event) {
  uint64_t* newest = user;
  if (event->kind == TRIBUTARY_VERSION_ARRIVED) *newest = event->version;
  printf("event %" PRId32 " %s %" PRIu64 " %s\n", event->kind, event->task, event->version, event->text);
}

static void add_points(tributary_device* device) {
  static const int64_t two[] = {2};
  const tributary_field fields[] = {{"x", TRIBUTARY_FP32, 1, two}, {"y", TRIBUTARY_FP32, 0, NULL}};
  const tributary_collection points = {
      .struct_size = sizeof(points), .field_count = 2, .name = "points", .fields = fields, .max_count = 1000};
  check(tributary_create(device, &points, &error));
  for (int i = 0; i < POINTS; ++i) {
    const float x[] = {(float)(i % 7) / 7, (float)(i % 5) / 5}, y = 2 * x[0] - x[1];
    const tributary_tensor tensors[] = {{"x", TRIBUTARY_FP32, 1, two, x, sizeof(x)},
                                        {"y", TRIBUTARY_FP32, 0, NULL, &y, sizeof(y)}};
    char id[16];
    snprintf(id, sizeof(id), "point-%d", i);
    const tributary_example example = {.struct_size = sizeof(example), .tensor_count = 2, .tensors = tensors, .id = id};
    const int code = tributary_add(device, "points", &example, 1, &error);
    if (code != TRIBUTARY_ALREADY_EXISTS) check(code); /* an earlier run has added it */
  }
}

static void predict(tributary_device* device) {
  static const int64_t shape[] = {2, 2};
  const float x[] = {0.25f, 0.5f, 1, -1};
  const tributary_tensor input = {"x", TRIBUTARY_FP32, 2, shape, x, sizeof(x)};
  tributary_prediction* prediction = NULL;
  check(tributary_predict(device, "line", &input, 1, &prediction, &error));
  const tributary_tensor* y = &prediction->outputs[0];
  for (size_t i = 0; i < y->bytes / sizeof(float); ++i) {
    float value;
    memcpy(&value, (const char*)y->data + i * sizeof(value), sizeof(value));
    printf("predicted %s %a by version %" PRIu64 "%s\n", y->name, value, prediction->version,
           prediction->personal ? ", personal" : "");
  }
  tributary_free(prediction);
}

int main(int argc, char** argv) {
  if (argc < 6) return 2;
  setvbuf(stdout, NULL, _IOLBF, 0);
  const uint64_t wanted = strtoull(argv[5], NULL, 10);
  uint64_t newest = 0;
  const tributary_options options = {.struct_size = sizeof(options),
                                     .folder = argv[1],
                                     .gateway = argv[2],
                                     .server_key = argv[3],
                                     .learner = argc > 6 ? (const char* const*)&argv[6] : NULL,
                                     .retry_cap_seconds = 1};
  tributary_device* device = NULL;
  check(tributary_open(&options, &device, &error));
  check(tributary_set_events(device, on_event, &newest, &error));
  const int enrolled = tributary_enrol(device, argv[4], NULL, 0, &error);
  if (enrolled != TRIBUTARY_ALREADY_EXISTS) check(enrolled); /* an earlier run is a member */
  add_points(device);
  while (newest < wanted) check(tributary_tick(device, 100, NULL, &error));
  predict(device);
  check(tributary_close(device, &error));
  return 0;
}
