#include "aggregator/operator/experiment/report.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "aggregator/operator/experiment/line_plot.h"
#include "protocol/base/limits.h"

namespace tributary {
namespace {

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--page:#fbfaf7;--card:#fff;--ink:#1c1f24;--soft:#5a6270;--faint:#dcdfe4;
--line-0:#0060a8;--line-1:#b84300;--line-2:#00795a;--line-3:#8e4a8b;--line-4:#77680a;--line-5:#b0245a;--line-6:#52585f;--line-7:#0d7690}
@media(prefers-color-scheme:dark){:root{--page:#14171b;--card:#1c2026;--ink:#e9ebee;--soft:#a4adba;--faint:#363c45;
--line-0:#6db9ff;--line-1:#ff9a5c;--line-2:#4fd3a5;--line-3:#dd9be0;--line-4:#d8c24a;--line-5:#ff8ab5;--line-6:#c0c6cd;--line-7:#5fd0ea}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:68rem;padding:1rem .75rem 3rem;background:var(--page);color:var(--ink);
font:1rem/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
h1{font-size:1.6rem;line-height:1.2;margin:.5rem 0;overflow-wrap:anywhere}
h2{font-size:1.05rem;margin:0 0 .5rem}
p{margin:.25rem 0;color:var(--soft)}
.tiles{display:flex;flex-wrap:wrap;gap:.5rem;margin:1rem 0;padding:0;list-style:none}
.tiles li{background:var(--card);border:1px solid var(--faint);border-radius:.5rem;padding:.5rem .9rem}
.tiles b{display:block;font-size:1.35rem;font-variant-numeric:tabular-nums}
.tiles span{color:var(--soft);font-size:.85rem}
figure,section{background:var(--card);border:1px solid var(--faint);border-radius:.5rem;margin:1rem 0;padding:.75rem}
.both{display:grid;gap:.75rem;grid-template-columns:minmax(0,1fr)}
@media(min-width:48rem){.both{grid-template-columns:minmax(0,3fr) minmax(0,2fr)}}
.both>svg{width:100%;height:auto;max-width:32rem;overflow:visible}
.both text{fill:var(--soft);font-size:11px}
.grid{stroke:var(--faint);stroke-width:1}
.line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1rem;list-style:none;margin:0 0 .5rem;padding:0;font-size:.9rem;overflow-wrap:anywhere}
.legend svg{width:1.5rem;height:.5rem;margin-right:.4rem}
.table{overflow:auto;max-height:22rem}
table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums;width:100%}
th,td{padding:.2rem .6rem;text-align:right;border-bottom:1px solid var(--faint);font-weight:400;white-space:nowrap}
thead th{color:var(--soft);position:sticky;top:0;background:var(--card)}
th:first-child,td:first-child{text-align:left}
pre{overflow:auto;font-size:.8rem;max-height:30rem;margin:.5rem 0 0}
summary{cursor:pointer}
@media print{.table,pre{max-height:none;overflow:visible}}
)";

constexpr const char* kWords =
    "<p>Global: the version that a round made, measured by the evaluator. Personal: the models that devices use for "
    "themselves, on "
    "what they held back. Version before: the version that the round began with, on the same.</p>";

constexpr double kMegabyte = 1e6;

using Runs = std::vector<ExperimentResults>;

std::string Capital(std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

PlotSeries OverRounds(const ExperimentResults& run, const std::string& name, const std::string& column) {
  PlotSeries series{name, {}};
  for (const Json& record : run.records) {
    const auto round = NumberIn(record, "round"), value = NumberIn(record, column);
    if (round && value) series.points.emplace_back(*round, *value);
  }
  return series;
}

PlotSeries OverBytes(const ExperimentResults& run, const std::string& name, const std::string& column) {
  PlotSeries series{name, {}};
  double bytes = 0;
  for (const Json& record : run.records) {
    bytes += NumberIn(record, "bytes_up").value_or(0);
    if (const auto value = NumberIn(record, column)) series.points.emplace_back(bytes / kMegabyte, *value);
  }
  return series;
}

// A line for each run, or for the only run one for each column.
class Plots {
 public:
  explicit Plots(const Runs& runs) : runs_(runs), names_(NamesOf(runs)) {}

  // `columns`: their names in the legend, and the columns.
  template <class Make>
  void Add(const std::string& title, const std::string& x, const std::string& y,
           const std::vector<std::pair<std::string, std::string>>& columns, Make make) {
    if (runs_.size() > 1) {
      for (const auto& [name, column] : columns) {
        LinePlot plot{columns.size() > 1 ? title + ": " + name : title, x, y, {}};
        for (size_t i = 0; i < runs_.size(); ++i) plot.series.push_back(make(runs_[i], names_[i], column));
        Put(plot);
      }
      return;
    }
    LinePlot plot{title, x, y, {}};
    for (const auto& [name, column] : columns) {
      plot.series.push_back(make(runs_.front(), name, column));
      if (plot.series.back().points.empty()) plot.series.pop_back();
    }
    Put(plot);
  }

  const std::string& html() const { return html_; }

 private:
  void Put(const LinePlot& plot) {
    if (!plot.empty()) html_ += HtmlOf(plot);
  }

  const Runs& runs_;
  const std::vector<std::string> names_;
  std::string html_;
};

std::string PlotsOf(const Runs& runs) {
  Plots plots(runs);
  const std::string& metric = runs.front().metric.name;
  const std::vector<std::pair<std::string, std::string>> views = {
      {"global", "global." + metric}, {"personal", "personal." + metric}, {"version before", "local." + metric}};
  plots.Add(Capital(metric) + " over rounds", "round", metric, views, &OverRounds);
  plots.Add(Capital(metric) + " over megabytes sent up", "MB up", metric, {views[0], views[1]}, &OverBytes);
  if (metric != "loss") {
    plots.Add("Loss over rounds", "round", "loss",
              {{"global", "global.loss"}, {"personal", "personal.loss"}, {"version before", "local.loss"}},
              &OverRounds);
  }
  const std::string spread = "spread.personal." + metric + ".";
  std::vector<std::pair<std::string, std::string>> lines = {{"worst tenth of the devices", spread + "worst_tenth"}};
  if (runs.size() == 1)
    lines.insert(lines.end(), {{"least", spread + "least"}, {"mean", spread + "mean"}, {"most", spread + "most"}});
  plots.Add("Personal " + metric + " over devices", "round", metric, lines, &OverRounds);
  const auto is_stale = [](const Json& record) { return NumberIn(record, "mean_staleness").value_or(0) > 0; };
  if (std::ranges::any_of(runs, [&](const auto& run) { return std::ranges::any_of(run.records, is_stale); }))
    plots.Add("Staleness", "round", "versions behind", {{"mean of the updates", "mean_staleness"}}, &OverRounds);
  plots.Add("Privacy spent", "round", "epsilon", {{"of one device, at most", "epsilon"}}, &OverRounds);
  plots.Add("Updates", "round", "updates", {{"in the sum", "updates"}, {"refused", "refused"}}, &OverRounds);
  return plots.html();
}

std::string Tile(const std::string& value, const std::string& what) {
  return fmt::format("<li><b>{}</b><span>{}</span></li>", EscapedHtml(value), EscapedHtml(what));
}

std::string ValueText(const std::optional<double>& value) { return value ? ShortNumber(*value) : "–"; }
std::string Megabytes(double bytes) { return ShortNumber(bytes / kMegabyte); }

std::string TilesOf(const ExperimentResults& run) {
  const ComparedRun line = Compared({run}, std::nullopt).front();
  const std::string& metric = run.metric.name;
  std::string html = "<ul class=\"tiles\">";
  html += Tile(ValueText(line.last), fmt::format("last {} {}", run.View(), metric));
  html += Tile(ValueText(line.best), fmt::format("best, in round {}", line.best_round));
  if (!run.records.empty() && run.View() == "global")
    html += Tile(ValueText(NumberIn(run.records.back(), "personal." + metric)), "last personal " + metric);
  html += Tile(std::to_string(run.records.size()), "rounds");
  html += Tile(Megabytes(line.total_bytes_up), "MB up");
  html += Tile(ShortNumber(line.seconds), "seconds in rounds");
  return html + "</ul>";
}

std::string ComparisonOf(const Runs& runs) {
  const auto reach = ReachedByAll(runs);
  const std::string& metric = runs.front().metric.name;
  const std::string at = reach ? fmt::format(" until {} {}", metric, ShortNumber(*reach)) : "";
  std::string html = fmt::format(
      "<section><h2>Side by side</h2><div class=\"table\" tabindex=\"0\" role=\"region\" aria-label=\"Side by "
      "side\"><table><thead><tr>"
      "<th scope=\"col\">run</th><th scope=\"col\">last {0}</th><th scope=\"col\">best</th><th scope=\"col\">in "
      "round</th>"
      "<th scope=\"col\">MB up{1}</th><th scope=\"col\">MB up</th><th scope=\"col\">seconds</th></tr></thead><tbody>",
      EscapedHtml(metric), EscapedHtml(at));
  for (const ComparedRun& run : Compared(runs, reach)) {
    html += fmt::format(
        "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
        EscapedHtml(run.name), ValueText(run.last), ValueText(run.best), run.best_round,
        run.bytes_up ? Megabytes(*run.bytes_up) : "–", Megabytes(run.total_bytes_up), ShortNumber(run.seconds));
  }
  return html + "</tbody></table></div></section>";
}

std::string TextIn(const Path& file) {
  const auto bytes = ReadFile(RealFileSystem(), file, limits::kMiB);
  return bytes ? std::string(AsText(*bytes)) : std::string();
}

std::string SettingsOf(const Runs& runs) {
  std::string html = "<section><h2>Settings and versions</h2>";
  const auto names = NamesOf(runs);
  for (size_t i = 0; i < runs.size(); ++i) {
    html += fmt::format("<details><summary>{}</summary><pre>{}</pre><pre>{}</pre></details>", EscapedHtml(names[i]),
                        EscapedHtml(TextIn(runs[i].folder / "experiment.toml")),
                        EscapedHtml(TextIn(runs[i].folder / "versions.json")));
  }
  return html + "</section>";
}

}  // namespace

std::vector<std::string> NamesOf(const Runs& runs) {
  std::vector<std::string> names;
  for (const ExperimentResults& run : runs) {
    std::string name = runs.size() == 1 ? run.title : run.folder.filename().string();
    const auto has_name = [&](const ExperimentResults& other) {
      return other.folder.filename() == run.folder.filename();
    };
    if (runs.size() > 1 && std::ranges::count_if(runs, has_name) > 1) name = run.folder.string();
    names.push_back(name);
  }
  return names;
}

std::optional<double> ReachedByAll(const Runs& runs) {
  std::optional<double> worst;
  for (const ComparedRun& run : Compared(runs, std::nullopt)) {
    if (!run.best) return std::nullopt;
    if (!worst || runs.front().metric.IsBetter(*worst, *run.best)) worst = run.best;
  }
  return worst;
}

std::vector<ComparedRun> Compared(const Runs& runs, std::optional<double> reach) {
  const auto names = NamesOf(runs);
  std::vector<ComparedRun> compared;
  for (size_t i = 0; i < runs.size(); ++i) {
    const ExperimentResults& run = runs[i];
    ComparedRun line{.name = names[i], .last = {}, .best = {}, .bytes_up = {}, .rounds = {}};
    for (const Json& record : run.records) {
      line.total_bytes_up += NumberIn(record, "bytes_up").value_or(0);
      const auto value = NumberIn(record, run.MainColumn());
      if (!value) continue;
      const auto round = static_cast<uint64_t>(NumberIn(record, "round").value_or(0));
      line.last = value;
      if (!line.best || run.metric.IsBetter(*value, *line.best)) {
        line.best = value;
        line.best_round = round;
      }
      if (reach && !line.rounds && !run.metric.IsBetter(*reach, *value)) {
        line.rounds = round;
        line.bytes_up = line.total_bytes_up;
      }
    }
    for (const Json& times : run.times) line.seconds += NumberIn(times, "seconds").value_or(0);
    compared.push_back(std::move(line));
  }
  return compared;
}

std::string ReportOf(const Runs& runs) {
  const std::string title = runs.size() == 1 ? runs.front().title : "Comparison of experiments";
  std::string html = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\">"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
      "<title>{0}</title><style>{1}</style></head><body><h1>{0}</h1>",
      EscapedHtml(title), kStyle);
  html += runs.size() == 1 ? TilesOf(runs.front()) : ComparisonOf(runs);
  html += std::string(kWords) + PlotsOf(runs) + SettingsOf(runs);
  return html + "</body></html>\n";
}

}  // namespace tributary
