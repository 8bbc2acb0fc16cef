//! The query of a request, and percent-encoding.

use super::problem::{problem, shown};
use super::types::Problem;

/// Parameters that one query can have.
const PARAMETERS: usize = 64;

/// The longest value of one.
const VALUE: usize = 2048;

/// Decodes `a=b&c=d`, `+` as a space. `None` if it is not UTF-8 or its percent signs are not followed by two
/// hexadecimal digits.
pub fn parse(query: &str) -> Option<Vec<(String, String)>> {
    let plus = |text: &str| decode(&text.replace('+', " "));
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((plus(key)?, plus(value)?))
        })
        .collect()
}

/// Decodes percent-encoding.
pub fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let high = char::from(rest.next()?).to_digit(16)?;
        let low = char::from(rest.next()?).to_digit(16)?;
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// Encodes what is to be one segment of a path, or a key or value of a query.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// The parameters of a request, of which each is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Query<'a> {
    pairs: &'a [(String, String)],
}

impl<'a> Query<'a> {
    /// Refuses parameters that are not `known`: a filter with a slip of the pen must not list everything.
    pub fn new(pairs: &'a [(String, String)], known: &[&str]) -> Result<Query<'a>, Problem> {
        Query::with_many(pairs, known, PARAMETERS)
    }

    /// The same, of at most `most` parameters.
    pub fn with_many(pairs: &'a [(String, String)], known: &[&str], most: usize) -> Result<Query<'a>, Problem> {
        if pairs.len() > most {
            return Err(problem(400, format!("the query has more than {most} parameters")));
        }
        for (key, value) in pairs {
            if !known.contains(&key.as_str()) {
                let detail = format!("unknown parameter '{}': known here are {}", shown(key), known.join(", "));
                return Err(problem(400, detail));
            }
            if value.len() > VALUE {
                return Err(problem(400, format!("the parameter '{key}' is longer than {VALUE} bytes")));
            }
        }
        Ok(Query { pairs })
    }

    /// All values of a parameter that may be repeated.
    pub fn all(&self, key: &str) -> Vec<String> {
        self.pairs.iter().filter(|(name, _)| name == key).map(|(_, value)| value.clone()).collect()
    }

    /// The value of a parameter that may not.
    pub fn one(&self, key: &str) -> Result<Option<&'a str>, Problem> {
        let mut values = self.pairs.iter().filter(|(name, _)| name == key).map(|(_, value)| value.as_str());
        let first = values.next();
        if values.next().is_some() {
            return Err(problem(400, format!("the parameter '{key}' may be given only once")));
        }
        Ok(first)
    }

    /// `true` or `1`, `false` or `0`; false if it is missing.
    pub fn flag(&self, key: &str) -> Result<bool, Problem> {
        match self.one(key)? {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(other) => Err(problem(400, format!("{key}={}: give true or false", shown(other)))),
        }
    }

    /// All values of a parameter of which each must be one of `words`.
    pub fn words(&self, key: &str, words: &[&str]) -> Result<Vec<String>, Problem> {
        let values = self.all(key);
        match values.iter().find(|value| !words.contains(&value.as_str())) {
            None => Ok(values),
            Some(other) => Err(problem(400, format!("{key}={}: give one of {}", shown(other), words.join(", ")))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(query: &str) -> Vec<(String, String)> {
        parse(query).expect("a query")
    }

    #[test]
    fn queries_are_decoded() {
        let expected = [("label", "a=b c"), ("x", ""), ("y", "é")];
        let expected: Vec<_> = expected.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        assert_eq!(pairs("label=a%3db+c&x&&y=%C3%A9"), expected);
        assert_eq!(pairs(""), []);
        for broken in ["a=%", "a=%4", "a=%zz", "a=%ff"] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        for text in ["plain-1._~", "a/b c%&=+", "naïve ☃"] {
            assert_eq!(decode(&encode(text)).as_deref(), Some(text));
            assert_eq!(pairs(&format!("{}={}", encode(text), encode(text)))[0].1, text);
        }
    }

    #[test]
    fn unknown_repeated_and_wrong_parameters_are_named() {
        let all = pairs("all=yes&limit=1&limit=2&state=runing");
        let detail = |result: Result<(), Problem>| result.expect_err("a problem").detail;
        assert!(detail(Query::new(&all, &["all"]).map(|_| ())).contains("'limit': known here are all"));
        let query = Query::new(&all, &["all", "limit", "state"]).expect("known ones");
        assert!(detail(query.flag("all").map(|_| ())).contains("all=yes"));
        assert!(detail(query.one("limit").map(|_| ())).contains("only once"));
        assert!(detail(query.words("state", &["running"]).map(|_| ())).contains("one of running"));
        assert_eq!(query.all("limit"), ["1", "2"]);
        assert_eq!(query.one("cursor"), Ok(None));
    }
}
