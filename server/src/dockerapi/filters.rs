//! `filters=` as Docker's clients send it: JSON, of which each key must be known.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// The longest text of filters that is read, in bytes.
pub const LONGEST: usize = 8 * 1024;

/// Values in all.
const VALUES: usize = 128;

/// Filters of one request: of each key the values, any of which may match (of labels: all).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, Vec<String>>);

impl Filters {
    /// Reads `{"key": ["value"]}`, or as older clients have it, `{"key": {"value": true}}`.
    ///
    /// # Errors
    /// One line that says what is wrong; a key that is not among `known` is named, with those that are.
    pub fn read(text: Option<&str>, known: &[&str]) -> Result<Filters, String> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Filters::default()) };
        if text.len() > LONGEST {
            return Err(format!("filters are longer than {LONGEST} bytes"));
        }
        let read: BTreeMap<String, Values> = serde_json::from_str(text)
            .map_err(|error| format!("filters are not the JSON of Docker's clients: {error}"))?;
        if read.values().map(|values| values.0.len()).sum::<usize>() > VALUES {
            return Err(format!("more than {VALUES} filters"));
        }
        if let Some(key) = read.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(format!("invalid filter '{}': muster knows {} here", crate::time::shown(key), listed(known)));
        }
        Ok(Filters(read.into_iter().map(|(key, values)| (key, values.0)).collect()))
    }

    /// The values of a key; none if it is not filtered by.
    pub fn all(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    /// The same, each of which must be one of `words`.
    pub fn words(&self, key: &str, words: &[&str]) -> Result<&[String], String> {
        let values = self.all(key);
        match values.iter().find(|value| !words.contains(&value.as_str())) {
            None => Ok(values),
            Some(wrong) => {
                Err(format!("invalid filter '{key}={}': give one of {}", crate::time::shown(wrong), words.join(", ")))
            }
        }
    }
}

fn listed(words: &[&str]) -> String {
    match words {
        [] => "none".into(),
        [only] => (*only).into(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Values in either form.
struct Values(Vec<String>);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Values, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of values")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Values, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    values.push(value);
                }
                Ok(Values(values))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Values, A::Error> {
                let mut values = Vec::new();
                while let Some((value, is_set)) = map.next_entry::<String, bool>()? {
                    if is_set {
                        values.push(value);
                    }
                }
                Ok(Values(values))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 3] = ["name", "label", "status"];

    #[test]
    fn both_forms_are_read() {
        for text in
            [r#"{"name":["a","b"],"label":["x=1"]}"#, r#"{"label":{"x=1":true},"name":{"a":true,"b":true,"c":false}}"#]
        {
            let filters = Filters::read(Some(text), &KNOWN).expect(text);
            assert_eq!(filters.all("name"), ["a", "b"]);
            assert_eq!(filters.all("label"), ["x=1"]);
            assert!(filters.all("status").is_empty());
        }
        assert_eq!(Filters::read(None, &KNOWN), Ok(Filters::default()));
        assert_eq!(Filters::read(Some("{}"), &KNOWN), Ok(Filters::default()));
    }

    #[test]
    fn what_is_not_known_is_named_in_one_line() {
        let why = |text: &str| Filters::read(Some(text), &KNOWN).expect_err(text);
        assert_eq!(
            why(r#"{"ancestor":["nginx"]}"#),
            "invalid filter 'ancestor': muster knows name, label and status here"
        );
        for text in ["{", "[]", "1", r#"{"name":1}"#, r#"{"name":{"a":1}}"#, r#"{"name":[1]}"#, r#"{"name":"a"}"#] {
            let why = why(text);
            assert!(why.starts_with("filters are not") && !why.contains('\n'), "{why}");
        }
        assert!(why(&format!(r#"{{"name":["{}"]}}"#, "a".repeat(LONGEST))).contains("longer"));
        let many: Vec<String> = (0..VALUES + 1).map(|n| n.to_string()).collect();
        assert!(why(&serde_json::json!({ "name": many }).to_string()).contains("more than"));
        let filters = Filters::read(Some(r#"{"status":["up"]}"#), &KNOWN).expect("filters");
        assert!(filters.words("status", &["running"]).expect_err("wrong").contains("give one of running"));
    }
}
