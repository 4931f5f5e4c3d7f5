/* An application of the first version, 0.1: compiled against its header as it was then, it links and runs with the library of
   today. It calls every function of that header. */
#include "tributary_0_1.h"

#include <stdio.h>
#include <string.h>

static tributary_error error = {.struct_size = sizeof(error)};
static int failures = 0;

static void expect(int answered, int expected, const char* what) {
  if (answered == expected) return;
  ++failures;
  printf("%s: %s, %s\n", what, tributary_code_name(answered), error.message);
}
#define EXPECT(call, expected) expect(call, expected, #call)

static void on_line(void* user, int level, const char* line) { (void)user, (void)level, (void)line; }
static void on_event(void* user, const tributary_event* event) { (void)user, (void)event; }
static int may_train(void* user) { return user == NULL; }
static int begin(void* user, void** iterator) { return *iterator = user, TRIBUTARY_OK; }
static int next(void* user, void* iterator, tributary_example* example) {
  (void)user, (void)iterator, (void)example;
  return TRIBUTARY_END;
}
static void end(void* user, void* iterator) { (void)user, (void)iterator; }

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  EXPECT(tributary_set_log(on_line, NULL, TRIBUTARY_LOG_INFO, &error), TRIBUTARY_OK);
  const tributary_options options = {.struct_size = sizeof(options), .folder = argv[1]};
  tributary_device* device = NULL;
  EXPECT(tributary_open(&options, &device, &error), TRIBUTARY_OK);
  EXPECT(tributary_set_events(device, on_event, NULL, &error), TRIBUTARY_OK);
  EXPECT(tributary_set_conditions(device, may_train, NULL, &error), TRIBUTARY_OK);

  static const int64_t two[] = {2};
  const tributary_field field = {"x", TRIBUTARY_INT16, 1, two};
  const tributary_collection collection = {.struct_size = sizeof(collection), .field_count = 1, .name = "old", .fields = &field};
  EXPECT(tributary_create(device, &collection, &error), TRIBUTARY_OK);
  const int16_t x[] = {-1, 1};
  const tributary_tensor tensor = {"x", TRIBUTARY_INT16, 1, two, x, sizeof(x)};
  const tributary_example examples[] = {
      {.struct_size = sizeof(tributary_example), .tensor_count = 1, .tensors = &tensor, .id = "one", .group = "g"},
      {.struct_size = sizeof(tributary_example), .tensor_count = 1, .tensors = &tensor, .id = "two"}};
  EXPECT(tributary_add(device, "old", examples, 2, &error), TRIBUTARY_OK);
  uint64_t count = 0;
  EXPECT(tributary_count(device, "old", &count, &error), TRIBUTARY_OK);
  EXPECT((int)count, 2);
  tributary_collection_list* list = NULL;
  EXPECT(tributary_list(device, &list, &error), TRIBUTARY_OK);
  EXPECT(strcmp(list->collections[0].name, "old"), 0);
  tributary_free(list);
  EXPECT(tributary_remove_group(device, "old", "g", &count, &error), TRIBUTARY_OK);
  EXPECT(tributary_remove(device, "old", "two", &count, &error), TRIBUTARY_OK);
  EXPECT(tributary_clear(device, "old", &count, &error), TRIBUTARY_OK);
  EXPECT(tributary_drop(device, "old", &count, &error), TRIBUTARY_OK);

  const tributary_source source = {.struct_size = sizeof(source), .field_count = 1, .collection = "hosted", .fields = &field,
                                   .open = begin, .next = next, .close = end};
  EXPECT(tributary_host(device, &source, &error), TRIBUTARY_OK);
  EXPECT(tributary_host_changed(device, "hosted", &error), TRIBUTARY_OK);
  EXPECT(tributary_host_erased(device, "hosted", &error), TRIBUTARY_OK);

  tributary_prediction* prediction = NULL;
  EXPECT(tributary_predict(device, "task", &tensor, 1, &prediction, &error), TRIBUTARY_MISSING_DATA);
  EXPECT(tributary_enrol(device, "no-file", NULL, 1, &error), TRIBUTARY_CONFIG_INVALID);
  EXPECT(tributary_start(device, &error), TRIBUTARY_CONFIG_INVALID);
  EXPECT(tributary_tick(device, 0, NULL, &error), TRIBUTARY_CONFIG_INVALID);
  EXPECT(tributary_stop(device, &error), TRIBUTARY_OK);
  char* json = NULL;
  EXPECT(tributary_status(device, &json, &error), TRIBUTARY_OK);
  EXPECT(strstr(json, "\"runs\":false") == NULL, 0);
  tributary_free(json);
  EXPECT(tributary_close(device, &error), TRIBUTARY_OK);
  EXPECT(strlen(tributary_version()) == 0 || strlen(tributary_code_explain(TRIBUTARY_LOCKED)) == 0, 0);
  return failures == 0 ? 0 : 1;
}
