//! `--filter key=value`

/// One filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// One of the command's own.
    pub key: &'static str,
    /// What it must be.
    pub value: String,
}

/// Reads one whose key is among `keys`, and whose value is among the words for its key if it has any. The error
/// names what is known.
pub fn read(text: &str, keys: &[&'static str], words: impl Fn(&str) -> Vec<&'static str>) -> Result<Filter, String> {
    let known = || format!("known here are {}", keys.join(", "));
    let (key, value) = text.split_once('=').ok_or_else(|| format!("a filter is KEY=VALUE; {}", known()))?;
    let key =
        keys.iter().find(|known| **known == key).ok_or_else(|| format!("no filter is called '{key}'; {}", known()))?;
    let words = words(key);
    if !words.is_empty() && !words.contains(&value) {
        return Err(format!("'{value}' is none of {}", words.join(", ")));
    }
    if value.is_empty() {
        return Err(format!("the filter '{key}' needs a value"));
    }
    Ok(Filter { key, value: value.to_string() })
}

/// The values of all filters with this key.
pub fn values(filters: &[Filter], key: &str) -> Vec<String> {
    filters.iter().filter(|filter| filter.key == key).map(|filter| filter.value.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_or_explained() {
        let words = |key: &str| if key == "state" { vec!["running", "exited"] } else { Vec::new() };
        let read = |text| read(text, &["state", "label"], words);
        assert_eq!(read("label=a=b"), Ok(Filter { key: "label", value: "a=b".into() }));
        assert_eq!(read("state=running").map(|filter| filter.key), Ok("state"));
        assert_eq!(read("status=up"), Err("no filter is called 'status'; known here are state, label".into()));
        assert_eq!(read("running"), Err("a filter is KEY=VALUE; known here are state, label".into()));
        assert_eq!(read("state=up"), Err("'up' is none of running, exited".into()));
        assert_eq!(read("label="), Err("the filter 'label' needs a value".into()));
    }
}
