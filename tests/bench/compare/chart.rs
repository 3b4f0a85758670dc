//! Bar charts as SVG: one file per group, one block per measurement, one bar per program, a line from the least to the
//! most.

use super::{results::Results, table::digits};

const WIDTH: f64 = 760.0;
/// Where bars begin and how long the longest is.
const LEFT: f64 = 110.0;
const LONGEST: f64 = 480.0;
const BAR: f64 = 18.0;
const TITLE: f64 = 28.0;

/// Names of files and what is in them.
pub fn all(results: &Results) -> Vec<(String, String)> {
    let mut groups: Vec<&str> = results.measurements.iter().map(|m| m.group).collect();
    groups.dedup();
    groups.into_iter().map(|group| (format!("{group}.svg"), chart(results, group))).collect()
}

fn chart(results: &Results, group: &str) -> String {
    let mut body = String::new();
    let mut y = 10.0;
    for (m, measurement) in results.measurements.iter().enumerate().filter(|(_, m)| m.group == group) {
        let bars: Vec<_> = (0..results.programs.len()).filter(|p| results.summary(m, *p).is_some()).collect();
        let most = bars.iter().filter_map(|p| results.summary(m, *p)).map(|s| s.most).fold(0.0, f64::max);
        body += &text(10.0, y + 16.0, "bold", &format!("{} ({})", measurement.title, measurement.unit));
        y += TITLE;
        for p in bars {
            body += &bar(results, m, p, y, LONGEST / most.max(f64::MIN_POSITIVE));
            y += BAR + 4.0;
        }
        y += 10.0;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{body}{}</svg>\n",
        text(LEFT, y - 4.0, "normal", results.machine["date"].as_str().unwrap_or_default())
    )
}

fn bar(results: &Results, m: usize, p: usize, y: f64, scale: f64) -> String {
    let Some(summary) = results.summary(m, p) else { return String::new() };
    let name = &results.programs[p].0;
    let colour = if name == "homing" { "#1f6f5c" } else { "#9aa5b1" };
    let middle = y + BAR / 2.0;
    let at = |value: f64| LEFT + value.max(0.0) * scale;
    let ratio = results.ratio(m, p).map(|ratio| format!(" x{ratio:.2}")).unwrap_or_default();
    format!(
        "{}<rect x=\"{LEFT}\" y=\"{y}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>\n\
         <line x1=\"{:.1}\" y1=\"{middle}\" x2=\"{:.1}\" y2=\"{middle}\" stroke=\"#222222\"/>\n{}",
        text(10.0, y + 13.0, "normal", name),
        at(summary.median) - LEFT,
        at(summary.least),
        at(summary.most),
        text(at(summary.most) + 6.0, y + 13.0, "normal", &format!("{}{ratio}", digits(summary.median))),
    )
}

fn text(x: f64, y: f64, weight: &str, words: &str) -> String {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" font-weight=\"{weight}\">{words}</text>\n")
}
