#pragma once

#include <string>
#include <utility>
#include <vector>

namespace tributary {

// Numbers that belong together: a line of a plot, a column of its table.
struct PlotSeries {
  std::string name;
  std::vector<std::pair<double, double>> points;  // by ascending x
};

// A plot with lines, for a page that needs nothing from elsewhere. Value type.
struct LinePlot {
  std::string title;
  std::string x_label, y_label;
  std::vector<PlotSeries> series;

  bool empty() const;
};

// A <figure>: the title, a legend, the plot as inline SVG, and beside it a table of all points. Its colours are the
// variables --line-0 to --line-7 and --ink, --faint of the page. Texts may be anything.
std::string HtmlOf(const LinePlot& plot);

// Text for an HTML page, also inside of an attribute.
std::string EscapedHtml(const std::string& text);
// A number as people read it: four digits that count.
std::string ShortNumber(double value);

// Round numbers that divide an axis, a handful of them, from below `least` to above `most`; `whole`: no fractions.
std::vector<double> TicksOf(double least, double most, bool whole = false);

}  // namespace tributary
