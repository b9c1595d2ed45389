//! The picture of days as a file that a browser shows: each mark says what it is when pointed at.

use std::fmt::Write as _;

use watchkeeper_core::model::Timestamp;

use super::days::{DAY, Days, Mark, Stand};
use super::report::Report;

/// Where the days begin, and how wide one is.
const LEFT: u64 = 90;
const WIDTH: u64 = 960;
/// Where the first day is, how high one is, and with the pause to the next.
const TOP: u64 = 70;
const HEIGHT: u64 = 14;
const ROW: u64 = 24;

const STANDS: [Stand; 6] = [
    Stand::Primary,
    Stand::Secondary,
    Stand::Maintenance,
    Stand::Busy,
    Stand::Operator,
    Stand::Unwatched,
];

const fn colour(stand: Stand) -> &'static str {
    match stand {
        Stand::Unwatched => "#d9d9d9",
        Stand::Primary => "#7fbf7b",
        Stand::Secondary => "#67a9cf",
        Stand::Maintenance => "#fee08b",
        Stand::Busy => "#af8dc3",
        Stand::Operator => "#f46d43",
    }
}

/// The picture.
pub fn svg(report: &Report, days: &Days) -> String {
    let count = days.days().count() as u64;
    let (width, height) = (LEFT + WIDTH + 20, TOP + count * ROW + 50);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    let title = format!(
        "{}: {} {} on what was recorded from {} to {}",
        report.cluster,
        report.candidate.policy,
        report.candidate.revision,
        report.since,
        report.until
    );
    let _ = writeln!(out, "<text x=\"10\" y=\"20\" font-size=\"14\">{}</text>", escaped(&title));
    let _ = writeln!(
        out,
        "<text x=\"10\" y=\"38\">circles: what was done; triangles: where it would have decided \
         otherwise ({} in all)</text>",
        days.would.len()
    );
    for hour in (0..24).step_by(3) {
        let x = LEFT + hour * WIDTH / 24;
        let y = TOP - 8;
        let _ = writeln!(out, "<text x=\"{x}\" y=\"{y}\" fill=\"#666\">{hour:02}:00</text>");
    }
    for (row, day) in days.days().enumerate() {
        one_day(&mut out, days, day, TOP + row as u64 * ROW);
    }
    legend(&mut out, TOP + count * ROW + 20);
    out.push_str("</svg>\n");
    out
}

fn one_day(out: &mut String, days: &Days, day: Timestamp, y: u64) {
    let end = day.plus(DAY);
    let date = day.to_string();
    let date = date.get(..10).unwrap_or_default();
    let _ = writeln!(out, "<text x=\"10\" y=\"{}\">{date}</text>", y + 11);
    for (from, to, stand) in days.pieces(day, end) {
        let x = place(day, from);
        // A plan that takes seconds is to be seen all the same.
        let wide = (place(day, to) - x).max(0.5);
        let _ = writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"{y}\" width=\"{wide:.1}\" height=\"{HEIGHT}\" fill=\"{}\">\
             <title>{}: {from} to {to}</title></rect>",
            colour(stand),
            stand.meaning()
        );
    }
    let within = |mark: &&Mark| mark.at >= day && mark.at < end;
    for mark in days.done.iter().filter(within) {
        let _ = writeln!(
            out,
            "<circle cx=\"{:.1}\" cy=\"{}\" r=\"4\" fill=\"#333\"><title>{}</title></circle>",
            place(day, mark.at),
            y + HEIGHT / 2,
            escaped(&mark.text)
        );
    }
    for mark in days.would.iter().filter(within) {
        let (x, top) = (place(day, mark.at), y + HEIGHT + 1);
        let wide = (place(day, mark.until.min(end)) - x).max(0.5);
        let _ = writeln!(
            out,
            "<g fill=\"#b2182b\"><title>{}</title><path d=\"M{x:.1} {top} l5 8 h-10 z\"/>\
             <rect x=\"{x:.1}\" y=\"{top}\" width=\"{wide:.1}\" height=\"2\"/></g>",
            escaped(&mark.text)
        );
    }
}

/// Where a moment is on its day's line.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of a day, and pixels")]
fn place(day: Timestamp, at: Timestamp) -> f64 {
    LEFT as f64 + at.since(day).min(DAY) as f64 / DAY as f64 * WIDTH as f64
}

fn legend(out: &mut String, y: u64) {
    for (i, stand) in STANDS.into_iter().enumerate() {
        let x = LEFT + i as u64 * 155;
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"12\" height=\"12\" fill=\"{}\"/>\
             <text x=\"{}\" y=\"{}\">{}</text>",
            colour(stand),
            x + 17,
            y + 10,
            stand.meaning()
        );
    }
}

/// A policy's words are no markup, and what XML cannot hold is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            c if c.is_control() => out.push(' '),
            '\u{fffe}' | '\u{ffff}' => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_policy_are_no_markup() {
        assert_eq!(escaped("a <b> & \u{1b}c\u{ffff}"), "a &lt;b&gt; &amp;  c");
    }
}
