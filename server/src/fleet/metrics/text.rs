//! Prometheus' text format: families of samples, each with its help and type in front.

use std::fmt::Write;

/// What a family's values mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only grows, or begins anew.
    Counter,
    /// It goes up and down.
    Gauge,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        }
    }
}

/// What all samples of one name have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family {
    pub name: &'static str,
    pub kind: Kind,
    /// One line.
    pub help: &'static str,
}

impl Family {
    /// Stands once in front of the samples.
    pub(super) fn head(&self, text: &mut String) {
        let Family { name, kind, help } = self;
        // Writing into a string does not fail.
        let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {}", escaped(help, false), kind.word());
    }

    /// One sample.
    pub(super) fn sample(&self, text: &mut String, labels: &[(&str, &str)], value: f64) {
        text.push_str(self.name);
        for (at, (label, value)) in labels.iter().enumerate() {
            let _ = write!(text, "{}{label}=\"{}\"", if at == 0 { '{' } else { ',' }, escaped(value, true));
        }
        if !labels.is_empty() {
            text.push('}');
        }
        let _ = writeln!(text, " {value}");
    }
}

/// A backslash and the end of a line are written as such; within a label's quotes these, too.
fn escaped(text: &str, quoted: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' if quoted => escaped.push_str("\\\""),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_written_as_the_format_has_it() {
        let family = Family { name: "muster_x_total", kind: Kind::Counter, help: "A \\ and\nmore \"so\"." };
        let mut text = String::new();
        family.head(&mut text);
        family.sample(&mut text, &[], 3.0);
        family.sample(&mut text, &[("host", "a\"b\\c\nd"), ("id", "é")], 0.25);
        let expected = "# HELP muster_x_total A \\\\ and\\nmore \"so\".\n# TYPE muster_x_total counter\n\
                        muster_x_total 3\nmuster_x_total{host=\"a\\\"b\\\\c\\nd\",id=\"é\"} 0.25\n";
        assert_eq!(text, expected);
    }
}
