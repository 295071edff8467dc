// The chart of the README: one bar for each figure that is compared, as long as the logarithm of
// how many times as good as the peer crisp is.
#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"
#include "bench/results.h"

namespace crisp::bench {
namespace {

constexpr int kLabelWidth = 230;
constexpr int kDecade = 220;  // of the scale
constexpr int kRow = 22;
constexpr int kHead = 46;

double Place(double ratio) { return std::max(0.0, std::log10(ratio)) * kDecade; }

}  // namespace

std::string Results::Chart() const {
  std::vector<Figure> figures;
  for (const auto& [figure, unused] : values_) {
    if (InfoOf(figure).compared && Ratio(figure) > 0) figures.push_back(figure);
  }
  const int height = kHead + kRow * static_cast<int>(figures.size()) + 16;
  const int width = kLabelWidth + 2 * kDecade + 70;
  std::string svg = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n"
      "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
      "<text x=\"8\" y=\"20\" font-size=\"14\">How many times as good as %s</text>\n",
      width, height, runtimes_.size() > 1 ? runtimes_[1] : "");
  for (const int mark : {1, 10, 100}) {
    const double x = kLabelWidth + Place(mark);
    absl::StrAppendFormat(&svg,
                          "<line x1=\"%.0f\" y1=\"%d\" x2=\"%.0f\" y2=\"%d\" "
                          "stroke=\"#bbb\"/><text x=\"%.0f\" y=\"%d\" fill=\"#666\" "
                          "text-anchor=\"middle\">x%d</text>\n",
                          x, kHead - 6, x, height - 12, x, kHead - 10, mark);
  }
  int y = kHead;
  for (const Figure figure : figures) {
    const double ratio = Ratio(figure);
    absl::StrAppendFormat(&svg,
                          "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>"
                          "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" "
                          "fill=\"#2b6cb0\"/><text x=\"%.1f\" y=\"%d\">x%.1f</text>\n",
                          kLabelWidth - 8, y + 13, InfoOf(figure).name, kLabelWidth, y,
                          std::max(1.0, Place(ratio)), kRow - 6, kLabelWidth + Place(ratio) + 6,
                          y + 13, ratio);
    y += kRow;
  }
  return svg + "</svg>\n";
}

}  // namespace crisp::bench
