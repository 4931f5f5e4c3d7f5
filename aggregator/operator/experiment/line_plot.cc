#include "aggregator/operator/experiment/line_plot.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

namespace tributary {
namespace {

// In units of the drawing, which is as wide as the page lets it be.
constexpr double kWide = 360, kHigh = 232;
constexpr double kLeft = 48, kRight = 10, kTop = 10, kBottom = 36;
constexpr size_t kColours = 8;
// Lines differ without colours too.
constexpr const char* kDashes[] = {"", "6 3", "2 3", "9 3 2 3"};
constexpr size_t kMostDots = 60;

struct Range {
  double least = INFINITY, most = -INFINITY;
  void Take(double value) {
    least = std::min(least, value);
    most = std::max(most, value);
  }
};

struct Axis {
  std::vector<double> ticks;
  double At(double value) const { return (value - ticks.front()) / (ticks.back() - ticks.front()); }
};

std::string TickText(double value) { return fmt::format("{:.6g}", std::abs(value) < 1e-12 ? 0 : value); }

double XOf(const Axis& axis, double value) { return kLeft + axis.At(value) * (kWide - kLeft - kRight); }
double YOf(const Axis& axis, double value) { return kHigh - kBottom - axis.At(value) * (kHigh - kTop - kBottom); }

std::string LineStyle(size_t number) {
  const char* dash = kDashes[number / 2 % std::size(kDashes)];
  return fmt::format("stroke=\"var(--line-{})\"{}", number % kColours,
                     *dash ? fmt::format(" stroke-dasharray=\"{}\"", dash) : "");
}

std::string GridOf(const Axis& x, const Axis& y) {
  std::string svg;
  for (const double tick : y.ticks) {
    const double at = YOf(y, tick);
    svg += fmt::format(
        "<path class=\"grid\" d=\"M{:.1f} {:.1f}H{:.1f}\"/><text x=\"{:.1f}\" y=\"{:.1f}\" "
        "text-anchor=\"end\">{}</text>",
        kLeft, at, kWide - kRight, kLeft - 5, at + 3.5, TickText(tick));
  }
  for (const double tick : x.ticks) {
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>", XOf(x, tick),
                       kHigh - kBottom + 15, TickText(tick));
  }
  return svg;
}

std::string LineOf(const PlotSeries& series, size_t number, const Axis& x, const Axis& y) {
  std::string path;
  for (const auto& [at, value] : series.points)
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", XOf(x, at), YOf(y, value));
  std::string svg = fmt::format("<path class=\"line\" {} d=\"{}\"/>", LineStyle(number), path);
  if (series.points.size() > kMostDots) return svg;
  for (const auto& [at, value] : series.points)
    svg += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2\" fill=\"var(--line-{})\"/>", XOf(x, at),
                       YOf(y, value), number % kColours);
  return svg;
}

std::string SvgOf(const LinePlot& plot) {
  Range across, up;
  bool all_whole = true;
  for (const PlotSeries& series : plot.series) {
    for (const auto& [x, y] : series.points) {
      across.Take(x);
      all_whole = all_whole && x == std::floor(x);
      up.Take(y);
    }
  }
  const Axis x{TicksOf(across.least, across.most, all_whole)}, y{TicksOf(up.least, up.most)};
  std::string svg = fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}: {} over {}\">", kWide, kHigh,
                                EscapedHtml(plot.title), EscapedHtml(plot.y_label), EscapedHtml(plot.x_label));
  svg += GridOf(x, y);
  for (size_t i = 0; i < plot.series.size(); ++i) {
    if (!plot.series[i].points.empty()) svg += LineOf(plot.series[i], i, x, y);
  }
  svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>", (kLeft + kWide - kRight) / 2,
                     kHigh - 5, EscapedHtml(plot.x_label));
  return svg + "</svg>";
}

std::string LegendOf(const LinePlot& plot) {
  std::string html = "<ul class=\"legend\">";
  for (size_t i = 0; i < plot.series.size(); ++i) {
    html += fmt::format(
        "<li><svg viewBox=\"0 0 24 8\" aria-hidden=\"true\"><path class=\"line\" {} d=\"M0 4H24\"/></svg>{}</li>",
        LineStyle(i), EscapedHtml(plot.series[i].name));
  }
  return html + "</ul>";
}

std::string TableOf(const LinePlot& plot) {
  std::map<double, std::vector<std::string>> rows;
  for (size_t i = 0; i < plot.series.size(); ++i) {
    for (const auto& [x, y] : plot.series[i].points) {
      auto& cells = rows[x];
      cells.resize(plot.series.size());
      cells[i] = ShortNumber(y);
    }
  }
  std::string html = fmt::format(
      "<div class=\"table\" tabindex=\"0\" role=\"region\" aria-label=\"{}: the numbers\"><table><thead><tr>"
      "<th scope=\"col\">{}</th>",
      EscapedHtml(plot.title), EscapedHtml(plot.x_label));
  for (const PlotSeries& series : plot.series)
    html += fmt::format("<th scope=\"col\">{}</th>", EscapedHtml(series.name));
  html += "</tr></thead><tbody>";
  for (const auto& [x, cells] : rows) {
    html += fmt::format("<tr><th scope=\"row\">{}</th>", ShortNumber(x));
    for (const std::string& cell : cells) html += fmt::format("<td>{}</td>", cell);
    html += "</tr>";
  }
  return html + "</tbody></table></div>";
}

}  // namespace

std::string HtmlOf(const LinePlot& plot) {
  return fmt::format("<figure><h2>{}</h2>{}<div class=\"both\">{}{}</div></figure>", EscapedHtml(plot.title),
                     LegendOf(plot), SvgOf(plot), TableOf(plot));
}

bool LinePlot::empty() const {
  return std::ranges::all_of(series, [](const PlotSeries& one) { return one.points.empty(); });
}

std::string EscapedHtml(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string ShortNumber(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e9) return fmt::format("{:.0f}", value);
  return fmt::format("{:.4g}", value);
}

std::vector<double> TicksOf(double least, double most, bool whole) {
  constexpr double kSteps = 5;
  if (!(least <= most)) return {0, 1};
  if (least == most) {
    const double around = least == 0 ? 1 : std::abs(least) / 2;
    least -= around;
    most += around;
  }
  double raw = (most - least) / kSteps;
  if (whole) raw = std::max(raw, 1.0);
  const double power = std::pow(10, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double factor : {5, 2, 1}) {
    if (factor * power >= raw) step = factor * power;
  }
  std::vector<double> ticks;
  const double first = std::floor(least / step), last = std::ceil(most / step);
  for (double tick = first; tick <= last; ++tick) ticks.push_back(tick * step);
  return ticks;
}

}  // namespace tributary
