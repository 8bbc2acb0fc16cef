//! The query of a request, as Docker reads it: what it does not know it passes over.

use super::Refused;
use crate::api::query;

/// Parameters that one query can have.
const PARAMETERS: usize = 32;

/// A query, decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Of what stands behind the `?`.
    pub fn read(text: &str) -> Result<Query, Refused> {
        let pairs = query::parse(text).ok_or_else(|| Refused::new(400, "the query is not percent-encoded UTF-8"))?;
        if pairs.len() > PARAMETERS {
            return Err(Refused::new(400, format!("the query has more than {PARAMETERS} parameters")));
        }
        Ok(Query(pairs))
    }

    /// The value of a parameter; an empty one counts as left out.
    pub fn get(&self, key: &str) -> Option<&str> {
        let found = self.0.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Whether a parameter is set, as Docker reads truth; `otherwise` if it is left out.
    pub fn flag(&self, key: &str, otherwise: bool) -> bool {
        match self.get(key) {
            None => otherwise,
            Some(value) => !matches!(value.to_ascii_lowercase().as_str(), "0" | "no" | "false" | "none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truth_is_read_as_docker_reads_it() {
        let query = Query::read("a=1&b=0&c=true&d=False&e=&f=yes").expect("a query");
        let flags = ["a", "b", "c", "d", "e", "f", "g"].map(|key| query.flag(key, false));
        assert_eq!(flags, [true, false, true, false, false, true, false]);
        assert!(query.flag("e", true) && query.flag("g", true) && !query.flag("b", true));
        assert!(Query::read("a=%zz").is_err() && Query::read(&"a=1&".repeat(PARAMETERS + 1)).is_err());
    }
}
