#include "device/import/data_command.h"

#include <algorithm>
#include <iostream>
#include <map>
#include <ranges>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/ranges.h>

#include "device/examples/collection_summary.h"
#include "device/import/data_arguments.h"
#include "protocol/base/process/daemon.h"

namespace tributary {
namespace {

constexpr std::string_view kDeletionHelp = R"(
Updates and evaluations that were made from the collection and that no gateway has taken yet are deleted as well: by the
daemon within ten seconds, or at its next start before it sends anything. It makes them again from what is left. What a
gateway has taken cannot be called back.)";

constexpr std::string_view kImportHelp = R"(
What becomes an example, by the kind of file:
  CSV (.csv, .tsv, also .gz)  each row; or, with --rows, each window of rows
  NumPy (.npz, .npy)          each element of the first dimension; each array is a field
  a folder                    each PNG or JPEG in its folders, which are the classes, as the fields image [3, height,
                              width] and label
  SQLite, with --sql          each row of the SELECT
  IDX (two files)             each image of the first file, with its label of the second
  text, with --text           each window of --length bytes, as numbers, and the same shifted by one

Examples:
  {0} --collection diabetes patients.csv
  {0} --collection weather --rows 24 --field window=temp
      --horizon 4 --target future=temp temperatures.csv
  {0} --collection signs --size 32x32 --resize area photos/)";

constexpr std::string_view kFleetHelp = R"(

Each device of a fleet has collections of its own. Without --device each file goes to the device that it is named after:
device-3.csv, or a folder device-3, to device-3:
  {0} --collection weather stations/*.csv

With --deal the examples of all files are dealt out to the devices, each to one. The same files, devices and options give
the same shares everywhere:
  {0} --collection flowers --deal dirichlet --label species --alpha 0.5 flowers.csv
)";

// Makes the collection, or sees that the file's fields are its own.
Status CreateFor(CollectionStore& store, const DataArguments& arguments, const ExampleReader& reader, WallTime now) {
  CollectionSettings settings{.name = arguments.collection, .fields = reader.fields()};
  settings.purpose = arguments.purpose;
  settings.retention = arguments.retention;
  settings.held_out_share = arguments.held_out_share;
  const auto there = store.Find(arguments.collection);
  if (!there) return store.Create(settings, now);
  // Settings that are not given stay as they were.
  const auto given = [&](std::string_view option) {
    return std::ranges::find(arguments.given, option) != arguments.given.end();
  };
  const CollectionSettings& before = there->settings;
  if (!given("--purpose")) settings.purpose = before.purpose;
  if (!given("--max-age")) settings.retention.max_age_seconds = before.retention.max_age_seconds;
  if (!given("--max-count")) settings.retention.max_count = before.retention.max_count;
  if (!given("--max-bytes")) settings.retention.max_bytes = before.retention.max_bytes;
  if (!given("--held-out-share")) settings.held_out_share = before.held_out_share;
  return store.Create(settings, now);
}

Status Fill(CollectionStore& store, const DataArguments& arguments, const Path& file, ExampleReader& reader,
            WallTime now) {
  ASSIGN_OR_RETURN(ExampleWriter writer, store.Write(arguments.collection, now));
  ExampleSink sink(writer, arguments.keep_good);
  RETURN_IF_ERROR(reader.Read(sink));
  RETURN_IF_ERROR(writer.Commit());
  std::cout << file.string() << ": " << writer.count() << " examples";
  if (writer.known() > 0) std::cout << ", " << writer.known() << " of which were there before, value for value";
  if (writer.known() == writer.count() && writer.known() > 1) std::cout << " (the same file again? They count twice now)";
  if (sink.skipped() > 0) std::cout << ", " << sink.skipped() << " rows without a value skipped";
  if (sink.left_out() > 0) std::cout << ", " << sink.left_out() << " bad rows left out; the first: " << sink.first();
  std::cout << "\n";
  return {};
}

Status ImportFile(CollectionStore& store, const DataArguments& arguments, const Path& file) {
  const WallTime now = SystemClock().Now();
  ASSIGN_OR_RETURN(const auto reader, OpenFile(arguments, file));
  const bool is_new = !store.Find(arguments.collection);
  RETURN_IF_ERROR(CreateFor(store, arguments, *reader, now));
  Status filled = Fill(store, arguments, file, *reader, now);
  // The fields of a file that was refused must not stand in the way of the next try.
  if (!filled && is_new) RETURN_IF_ERROR(store.Drop(arguments.collection));
  // The stored part of it goes now, or with the daemon's next sweep.
  if (!filled && !is_new) (void)store.Sweep(now);
  return filled;
}

Status Import(CollectionStore& store, const DataArguments& arguments) {
  const bool idx = FormatOf(arguments, arguments.files.front()) == FileFormat::kIdx;
  for (const std::string& file : arguments.files) {
    RETURN_IF_ERROR(ImportFile(store, arguments, file));
    if (idx) break;
  }
  return {};
}

// "device-3" of "stations/device-3.csv.gz".
std::string DeviceOfFile(const Path& file) {
  const Path path = file.has_filename() ? file : file.parent_path();
  const std::string name = path.filename().string();
  std::error_code error;
  return std::filesystem::is_directory(file, error) ? name : name.substr(0, name.find('.'));
}

Result<std::unique_ptr<CollectionStore>> OpenStore(const std::map<std::string, Path>& folders,
                                                   const std::string& device) {
  const auto found = folders.find(device);
  if (found == folders.end()) {
    return Fail(Code::kNotFound, "the fleet has no device '{}'; it has {}, from {} to {}", device, folders.size(),
                folders.begin()->first, folders.rbegin()->first);
  }
  RETURN_IF_ERROR(RealFileSystem().CreateFolders(found->second));
  return CollectionStore::Open(found->second);
}

// Each file to the device of its name.
Status ImportByName(const std::map<std::string, Path>& folders, const DataArguments& arguments) {
  if (FormatOf(arguments, arguments.files.front()) == FileFormat::kIdx)
    return Fail(Code::kInvalidArgument, "IDX takes two files, for one device: name it with --device");
  for (const std::string& file : arguments.files) {
    if (!folders.contains(DeviceOfFile(file))) {
      return Fail(Code::kNotFound, "{}: the fleet has no device '{}'; name another with --device. Nothing was imported",
                  file, DeviceOfFile(file));
    }
  }
  for (const std::string& file : arguments.files) {
    ASSIGN_OR_RETURN(const auto store, OpenStore(folders, DeviceOfFile(file)));
    RETURN_IF_ERROR(ImportFile(*store, arguments, file));
  }
  return {};
}

Status ReadFiles(const DataArguments& arguments, const std::vector<ExampleField>& fields, ExampleSink& sink) {
  for (const std::string& file : arguments.files) {
    ASSIGN_OR_RETURN(const auto reader, OpenFile(arguments, file));
    if (reader->fields() != fields)
      return Fail(Code::kConflict, "{} has other fields than {}", file, arguments.files.front());
    RETURN_IF_ERROR(reader->Read(sink));
    if (FormatOf(arguments, file) == FileFormat::kIdx) break;
  }
  return {};
}

// Reads the files into memory, to see which example is whose, and then again, each example into its device's store.
Status ImportDealt(const std::map<std::string, Path>& folders, const DataArguments& arguments) {
  const WallTime now = SystemClock().Now();
  ASSIGN_OR_RETURN(const auto first, OpenFile(arguments, arguments.files.front()));
  ASSIGN_OR_RETURN(const auto memory, CollectionStore::Open(":memory:"));
  RETURN_IF_ERROR(memory->Create({.name = arguments.collection, .fields = first->fields(), .held_out_share = 0}, now));
  ASSIGN_OR_RETURN(ExampleWriter all, memory->Write(arguments.collection, now, UINT64_MAX));
  ExampleSink seen(all, arguments.keep_good);
  RETURN_IF_ERROR(ReadFiles(arguments, first->fields(), seen));
  RETURN_IF_ERROR(all.Commit());
  const auto devices = static_cast<uint32_t>(folders.size());
  ASSIGN_OR_RETURN(auto turns, TurnsOf(arguments.deal, devices, *memory, arguments.collection, seen.taken()));

  std::vector<std::unique_ptr<CollectionStore>> stores;
  std::vector<ExampleWriter> writers;
  writers.reserve(devices);
  std::vector<ExampleWriter*> places;
  for (const auto& [device, folder] : folders) {
    ASSIGN_OR_RETURN(stores.emplace_back(), OpenStore(folders, device));
    RETURN_IF_ERROR(CreateFor(*stores.back(), arguments, *first, now));
    ASSIGN_OR_RETURN(ExampleWriter writer, stores.back()->Write(arguments.collection, now));
    places.push_back(&writers.emplace_back(std::move(writer)));
  }
  ExampleSink sink(places, std::move(turns), arguments.keep_good);
  RETURN_IF_ERROR(ReadFiles(arguments, first->fields(), sink));
  uint64_t dealt = 0, least = UINT64_MAX, most = 0;
  for (ExampleWriter& writer : writers) {
    RETURN_IF_ERROR(writer.Commit());
    dealt += writer.count();
    least = std::min(least, writer.count());
    most = std::max(most, writer.count());
  }
  std::cout << fmt::format("dealt {} examples to {} devices, {} to {} each", dealt, devices, least, most);
  if (seen.left_out() > 0) std::cout << ", " << seen.left_out() << " bad rows left out; the first: " << seen.first();
  std::cout << "\n";
  return {};
}

Status Remove(CollectionStore& store, const DataArguments& arguments) {
  if ((arguments.id.empty() ? 0 : 1) + (arguments.group.empty() ? 0 : 1) + (arguments.whole ? 1 : 0) != 1)
    return Fail(Code::kInvalidArgument, "give one of --id, --group and --all");
  ASSIGN_OR_RETURN(const uint64_t count, arguments.whole ? store.Drop(arguments.collection)
                                         : arguments.id.empty()
                                             ? store.RemoveGroup(arguments.collection, arguments.group)
                                             : store.Remove(arguments.collection, arguments.id));
  std::cout << "removed " << count << " examples\n";
  return {};
}

// Takes the names of a choice, and lists them when it gets another.
template <class T>
CLI::Validator OneOf(const std::map<std::string, T>& choices) {
  const auto take = [&choices](std::string& text) -> std::string {
    const auto found = choices.find(text);
    if (found == choices.end())
      return fmt::format("'{}' is none of {}", text, fmt::join(std::views::keys(choices), ", "));
    text = std::to_string(static_cast<int>(found->second));
    return "";
  };
  return CLI::Validator(take, "");
}

void AddDeal(CLI::App& app, DataArguments& to) {
  static const std::map<std::string, PartitionKind> kinds = {
      {"iid", PartitionKind::kIid}, {"dirichlet", PartitionKind::kDirichlet}, {"shards", PartitionKind::kShards}};
  app.add_option_function<PartitionKind>(
         "--deal",
         [&to](const PartitionKind& kind) {
           to.deals = true;
           to.deal.plan.kind = kind;
         },
         "Deal the examples out to all devices: iid (in equal numbers), dirichlet (unequal in labels and numbers), shards "
         "(sorted by label, in equal shards)")
      ->transform(OneOf(kinds))
      ->type_name("WAY");
  const auto add = [&](const char* name, auto& value, const char* help) {
    app.add_option(name, value, help)->capture_default_str()->needs("--deal");
  };
  add("--label", to.deal.label, "The field by which they are dealt out: a whole number or a category");
  add("--alpha", to.deal.plan.alpha, "Of the Dirichlet distribution: small is unequal");
  add("--shards", to.deal.plan.shards_per_device, "How many shards a device gets");
  add("--total", to.deal.plan.total, "Size of a sample that is dealt out; 0: all");
  add("--seed", to.deal.plan.seed, "Decides who gets which");
}

void AddImport(CLI::App& app, DataArguments& to, const DataCommandPlace& place) {
  const std::string command = fmt::format("{} data import --config {}", place.program, place.config);
  app.footer(place.fleet ? fmt::format(kImportHelp, command + " --device ID") + fmt::format(kFleetHelp, command)
                         : fmt::format(kImportHelp, command));
  if (place.fleet) AddDeal(app, to);
  app.add_option("files", to.files, "What to import; each file comes in whole or not at all")->required();
  app.add_option("--purpose", to.purpose, "What the examples may be used for; for people");
  app.add_option("--max-age", to.retention.max_age_seconds, "Seconds for which examples are kept; 0: for ever [0]");
  app.add_option("--max-count", to.retention.max_count, "How many examples are kept, the newest; 0: all [0]");
  app.add_option("--max-bytes", to.retention.max_bytes, "Bytes of values that are kept, the newest; 0: all [0]");
  app.add_option("--held-out-share", to.held_out_share,
                 "Share of the examples that is kept back for evaluation, from 0 to 0.9; the first import fixes it")
      ->capture_default_str();
  app.add_flag("--keep-good", to.keep_good, "Leave bad rows out and count them, instead of refusing the file");
  static const std::map<std::string, FileFormat> formats = {
      {"csv", FileFormat::kCsv}, {"numpy", FileFormat::kNumpy}, {"images", FileFormat::kImages},
      {"sql", FileFormat::kSql}, {"idx", FileFormat::kIdx},     {"text", FileFormat::kText}};
  app.add_option("--format", to.format,
                 "The kind of the files: csv, numpy, images, sql, idx, text [as their names say]")
      ->transform(OneOf(formats))
      ->type_name("KIND");
  app.add_option("--field", to.fields,
                 "A field, as NAME=COLUMN[,COLUMN...][:TYPE[SHAPE]]; repeatable [each column is a field]. TYPE is FP32 "
                 "if nothing "
                 "is said; with a shape, as [3] or [-1], a value is numbers separated by spaces")
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false);
  app.add_option("--category", to.table.categories,
                 "A column of texts, each of which becomes a number, always the same; repeatable")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--id", to.table.id, "The column with the id of the example");
  app.add_option("--group", to.table.group,
                 "The column that says which examples are removed together: a user, a session");
  static const std::map<std::string, MissingValue> missing = {
      {"refuse", MissingValue::kRefuse}, {"skip", MissingValue::kSkip}, {"forward-fill", MissingValue::kForwardFill}};
  app.add_option("--missing", to.table.missing,
                 "How a value that is empty, NaN, NA, N/A or null is taken: refuse (the file), skip (the row) or forward-fill (from "
                 "the row before) "
                 "[refuse]")
      ->transform(OneOf(missing))
      ->type_name("WAY");
  app.add_option("--rows", to.table.rows, "Rows of a window of a time series; 0: each row is an example [0]");
  app.add_option("--stride", to.table.stride,
                 "Rows, or bytes of a text, from one window to the next [1; of a text, --length]");
  app.add_option("--horizon", to.table.horizon, "Rows behind the window that the targets have [0]");
  app.add_option("--target", to.targets, "A field of the rows behind the window, as --field; repeatable")
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false);
  app.add_option("--delimiter", to.delimiter, "The character between the values of a CSV file")->capture_default_str();
  app.add_flag("--no-header", to.no_header, "The first row is no header: call the columns c1, c2, ...");
  app.add_option("--sql", to.sql, "The SELECT whose rows are imported; the file is a SQLite database");
  app.add_flag("--text", to.text, "The files are texts");
  app.add_option("--length", to.length, "Bytes of a window of a text")->capture_default_str();
  app.add_option("--size", to.size, "HEIGHTxWIDTH of the images [those of the first image]");
  static const std::map<std::string, Resize> resize = {{"area", Resize::kArea}, {"nearest", Resize::kNearest}};
  app.add_option("--resize", to.resize, "How images of another size are fitted: area or nearest [they are refused]")
      ->transform(OneOf(resize))
      ->type_name("WAY");
  app.add_flag("--grey,--gray", to.grey, "Read images as one channel instead of three");
}

}  // namespace

bool IsDataCommand(int argc, char** argv) { return argc > 1 && std::string_view(argv[1]) == "data"; }

int RunDataCommand(int argc, char** argv, const DataCommandPlace& place) {
  DataArguments arguments;
  CLI::App app(place.program + " data: a device's own examples, in collections; also while the daemon runs",
               place.program + " data");
  app.require_subcommand(1);
  auto* import = app.add_subcommand("import", "Read files into a collection");
  AddImport(*import, arguments, place);
  auto* list = app.add_subcommand("list", "The collections and their fields");
  auto* show = app.add_subcommand("show", "What is in a collection: shares, labels, bounds");
  auto* remove = app.add_subcommand("remove", "Delete some examples, or the whole collection, to the last byte");
  remove->add_option("--id", arguments.id, "Delete the example with this id");
  remove->add_option("--group", arguments.group, "Delete all examples of this group");
  remove->add_flag("--all", arguments.whole, "Delete the collection itself");
  auto* clear = app.add_subcommand(
      "clear", "Delete all examples of a collection, to the last byte; the collection and its fields stay");
  for (CLI::App* each : {remove, clear}) each->footer(std::string(kDeletionHelp));
  for (CLI::App* each : {import, list, show, remove, clear}) {
    each->add_option("--config", arguments.config, "The configuration file, as " + place.config)->required();
    if (place.fleet) {
      auto* device = each->add_option("--device", arguments.device, "The device's id");
      if (each != import) device->required();
    }
    if (each == list) continue;
    auto* collection = each->add_option("--collection", arguments.collection, "The collection's name");
    if (each == import)
      collection->capture_default_str();
    else
      collection->required();
  }
  try {
    app.parse(argc - 1, argv + 1);
  } catch (const CLI::ParseError& failure) {
    return app.exit(failure) == 0 ? kExitOk : kExitUsage;
  }
  for (const CLI::Option* option : import->get_options()) {
    if (option->count() > 0) arguments.given.push_back(option->get_name());
  }
  arguments.stride_given = import->count("--stride") > 0;

  const auto work = [&]() -> Status {
    ASSIGN_OR_RETURN(const auto folders, place.folders(arguments.config));
    if (arguments.deals && !arguments.device.empty())
      return Fail(Code::kInvalidArgument, "--deal is for all devices, and --device names one");
    if (import->parsed() && arguments.deals) return ImportDealt(folders, arguments);
    if (import->parsed() && place.fleet && arguments.device.empty()) return ImportByName(folders, arguments);
    ASSIGN_OR_RETURN(const auto store, OpenStore(folders, arguments.device));
    if (import->parsed()) return Import(*store, arguments);
    if (remove->parsed()) return Remove(*store, arguments);
    if (list->parsed()) {
      ASSIGN_OR_RETURN(const auto collections, store->List());
      std::cout << DescribeCollections(collections);
    } else if (show->parsed()) {
      ASSIGN_OR_RETURN(const CollectionSummary summary, store->Summarise(arguments.collection));
      std::cout << DescribeSummary(summary, SystemClock().Now());
    } else {
      ASSIGN_OR_RETURN(const uint64_t count, store->Clear(arguments.collection));
      std::cout << "removed " << count << " examples\n";
    }
    return {};
  };
  const Status status = work();
  return status ? kExitOk : ExitWith(place.program, status.error());
}

}  // namespace tributary
