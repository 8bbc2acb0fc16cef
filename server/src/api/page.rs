//! Pages of lists. A cursor holds the key of the last item of a page, so that pages stay true while items come
//! and go.

use super::problem::problem;
use super::query::Query;
use super::types::{Page, Problem};
use std::fmt::Write;

/// Items of a page unless `limit` says otherwise.
const DEFAULT_LIMIT: usize = 100;

/// The most that `limit` may say.
pub const LIMIT: usize = 500;

/// Stands between the parts of a key within a cursor: no name can contain it.
const SEPARATOR: char = '\0';

/// Which page is wanted, of a list whose keys have `N` parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paging<const N: usize> {
    list: &'static str,
    /// Items of the page at most.
    pub limit: usize,
    /// The page begins behind the item with this key.
    pub after: Option<[String; N]>,
}

impl<const N: usize> Paging<N> {
    /// Reads `cursor` and `limit`. `list` keeps the cursors of different lists apart.
    pub fn read(query: &Query<'_>, list: &'static str) -> Result<Paging<N>, Problem> {
        let limit = match query.one("limit")? {
            None => DEFAULT_LIMIT,
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| (1..=LIMIT).contains(limit))
                .ok_or_else(|| problem(400, format!("limit: give a number from 1 to {LIMIT}")))?,
        };
        let after = match query.one("cursor")? {
            None => None,
            Some(cursor) => Some(read_cursor(list, cursor).ok_or_else(|| {
                problem(400, "cursor: this is not one that this list gave; begin without one, then give back `next`")
            })?),
        };
        Ok(Paging { list, limit, after })
    }

    /// The page of `items`, which are all of the list in any order.
    pub fn page<T>(&self, mut items: Vec<T>, key: for<'i> fn(&'i T) -> [&'i str; N]) -> Page<T> {
        items.sort_by(|a, b| key(a).cmp(&key(b)));
        if let Some(after) = &self.after {
            let after = after.each_ref().map(String::as_str);
            let passed = items.partition_point(|item| key(item) <= after);
            items.drain(..passed);
        }
        let more = items.len() > self.limit;
        items.truncate(self.limit);
        let next = items.last().filter(|_| more).map(|last| self.cursor(key(last)));
        Page { items, next }
    }

    /// The cursor for what is behind the item with this key.
    pub fn cursor(&self, key: [&str; N]) -> String {
        let mut plain = String::from(self.list);
        for part in key {
            plain.push(SEPARATOR);
            plain.push_str(part);
        }
        plain.bytes().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

/// How many items to skip.
pub fn offset(query: &Query<'_>, has_cursor: bool) -> Result<u64, Problem> {
    match query.one("offset")? {
        None => Ok(0),
        Some(_) if has_cursor => Err(problem(400, "give `offset` or `cursor`, not both")),
        Some(text) => text.parse::<u32>().map(u64::from).map_err(|_| problem(400, "offset: give a number")),
    }
}

/// Labels that are wanted: `key` or `key=value`.
pub fn labels(query: &Query<'_>) -> Result<Vec<String>, Problem> {
    let labels = query.all("label");
    if labels.iter().any(|label| label.is_empty() || label.starts_with('=')) {
        return Err(problem(400, "label: give `key` or `key=value`"));
    }
    Ok(labels)
}

fn read_cursor<const N: usize>(list: &str, cursor: &str) -> Option<[String; N]> {
    let digits: Vec<u8> =
        cursor.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let plain = String::from_utf8(digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect()).ok()?;
    let parts = plain.strip_prefix(list)?.strip_prefix(SEPARATOR)?;
    let parts: Vec<String> = parts.split(SEPARATOR).map(String::from).collect();
    parts.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Item = (String, String);

    fn item(name: &str, id: usize) -> Item {
        (name.into(), id.to_string())
    }

    fn read(query: &str) -> Result<Paging<2>, Problem> {
        let pairs = crate::api::query::parse(query).expect("a query");
        Paging::read(&Query::new(&pairs, &["cursor", "limit"])?, "items")
    }

    fn page(query: &str, items: &[Item]) -> Page<Item> {
        read(query).expect("paging").page(items.to_vec(), |(name, id)| [name, id])
    }

    #[test]
    fn pages_hold_every_item_once() {
        let items: Vec<Item> = (0..25).rev().map(|n| item(&format!("n{}", n / 3), n)).collect();
        let mut seen = Vec::new();
        let mut query = "limit=10".to_string();
        let mut pages = 0;
        loop {
            let page = page(&query, &items);
            seen.extend(page.items);
            pages += 1;
            let Some(next) = page.next else { break };
            query = format!("limit=10&cursor={next}");
        }
        let mut sorted = items.clone();
        sorted.sort();
        assert_eq!((seen, pages), (sorted, 3));
    }

    #[test]
    fn the_last_page_has_no_next_even_if_it_is_full() {
        let items = [item("a", 1), item("b", 2)];
        assert_eq!(page("limit=2", &items).next, None);
        assert!(page("limit=1", &items).next.is_some());
    }

    #[test]
    fn items_that_come_and_go_move_no_others() {
        let mut items: Vec<Item> = ["b", "d", "f", "h"].iter().map(|name| item(name, 1)).collect();
        let first = page("limit=2", &items);
        items.remove(1); // the cursor's own item
        items.push(item("a", 1));
        items.push(item("e", 1));
        let second = page(&format!("cursor={}", first.next.expect("more")), &items);
        let names: Vec<_> = second.items.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["e", "f", "h"]);
    }

    #[test]
    fn cursors_of_other_lists_and_invented_ones_are_refused() {
        let other = Paging::<2> { list: "others", limit: 1, after: None }.cursor(["a", "b"]);
        let short = Paging::<1> { list: "items", limit: 1, after: None }.cursor(["a"]);
        for cursor in [other.as_str(), short.as_str(), "", "zz", "6", "é", "ffff"] {
            let problem = read(&format!("cursor={}", crate::api::query::encode(cursor))).expect_err(cursor);
            assert_eq!(problem.status, 400, "{cursor}");
        }
    }

    #[test]
    fn limits_are_checked() {
        for limit in ["0", "501", "-1", "ten", ""] {
            assert_eq!(read(&format!("limit={limit}")).expect_err(limit).status, 400);
        }
        assert_eq!(read("limit=500").expect("the most").limit, 500);
        assert_eq!(read("").expect("none").limit, DEFAULT_LIMIT);
    }
}
