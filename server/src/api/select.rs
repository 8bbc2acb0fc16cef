//! Whether an object belongs to what was asked for: the same answer for a list, for a stream that goes on where
//! the list ended, and at the command line.

use super::types::{Container, Event};
use crate::fleet::{ContainerSelect, EventSelect};
use crate::time;
use std::collections::BTreeMap;

/// Whether a container is wanted. The fleet decides on `all`: it knows whether a container has ever started.
pub fn container_matches(select: &ContainerSelect, container: &Container) -> bool {
    any(&select.hosts, |host| *host == container.host || *host == container.host_id)
        && any(&select.states, |state| *state == container.state)
        && any(&select.names, |name| container.name.contains(name.as_str()))
        && select.labels.iter().all(|label| has_label(&container.labels, label))
}

/// Whether an event is wanted.
pub fn event_matches(select: &EventSelect, event: &Event) -> bool {
    any(&select.hosts, |host| *host == event.host || *host == event.host_id)
        && any(&select.containers, |container| is_about(event, container))
        && any(&select.actions, |action| is_action(&event.action, action))
        && any(&select.subjects, |subject| *subject == event.subject)
        && select.labels.iter().all(|label| has_attribute(&event.attributes, label))
        && in_time(select, event)
}

/// Whether labels are as wanted, `key` or `key=value` all of them.
pub fn labels_match(wanted: &[String], labels: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|label| has_label(labels, label))
}

fn any(wanted: &[String], matches: impl Fn(&String) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(matches)
}

/// By the beginning of its name or id, as Docker has it.
fn is_about(event: &Event, container: &str) -> bool {
    [&event.container, &event.container_id].into_iter().flatten().any(|known| known.starts_with(container))
}

/// `health_status` also means `health_status: healthy`.
fn is_action(action: &str, wanted: &str) -> bool {
    action.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

fn has_label(labels: &BTreeMap<String, String>, wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|label| label == value),
        None => labels.contains_key(wanted),
    }
}

fn has_attribute(attributes: &BTreeMap<String, Option<String>>, wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((key, value)) => attributes.get(key).is_some_and(|attribute| attribute.as_deref() == Some(value)),
        None => attributes.contains_key(wanted),
    }
}

/// By the host's clock, or by ours where the host gave no time.
fn in_time(select: &EventSelect, event: &Event) -> bool {
    if select.since_ms.is_none() && select.until_ms.is_none() {
        return true;
    }
    let Some(ms) = time::parse_ms(event.time.as_ref().unwrap_or(&event.received_at)) else { return false };
    select.since_ms.is_none_or(|since| ms >= since) && select.until_ms.is_none_or(|until| ms <= until)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples;

    #[test]
    fn events_are_selected_by_everything_that_can_be_asked() {
        let event = samples::event(5, "die");
        let selects = |change: fn(&mut EventSelect)| {
            let mut select = EventSelect::default();
            change(&mut select);
            event_matches(&select, &event)
        };
        assert!(selects(|_| {}));
        assert!(selects(|s| s.hosts = vec!["other".into(), "pi1".into()]));
        assert!(selects(|s| s.hosts = vec!["00000000000000a1".into()]));
        assert!(!selects(|s| s.hosts = vec!["pi".into()]));
        assert!(selects(|s| s.containers = vec!["web".into()]));
        assert!(selects(|s| s.containers = vec!["abcdef".into()]));
        assert!(!selects(|s| s.containers = vec!["bcdef".into()]));
        assert!(selects(|s| s.actions = vec!["start".into(), "die".into()]));
        assert!(!selects(|s| s.actions = vec!["di".into()]));
        assert!(!selects(|s| s.subjects = vec!["network".into()]));
        assert!(selects(|s| s.labels = vec!["exitCode=1".into(), "image".into()]));
        assert!(!selects(|s| s.labels = vec!["exitCode=1".into(), "nothing".into()]));
        let ms = |text| time::parse_ms(text);
        assert!(event_matches(&EventSelect { since_ms: ms("2026-11-22T10:00:00Z"), ..Default::default() }, &event));
        assert!(!event_matches(&EventSelect { since_ms: ms("2026-11-22T10:00:01Z"), ..Default::default() }, &event));
        assert!(event_matches(&EventSelect { until_ms: ms("2026-11-22T10:00:00Z"), ..Default::default() }, &event));
        assert!(!event_matches(&EventSelect { until_ms: ms("2026-11-22T09:59:59Z"), ..Default::default() }, &event));
    }

    #[test]
    fn a_health_change_is_found_by_its_general_name() {
        assert!(is_action("health_status: healthy", "health_status"));
        assert!(is_action("health_status: healthy", "health_status: healthy"));
        assert!(!is_action("health_status: healthy", "health"));
    }

    #[test]
    fn containers_are_selected_by_labels_that_all_match() {
        let container = samples::container("web", "running");
        let labels = |labels: &[&str]| ContainerSelect {
            labels: labels.iter().map(|label| label.to_string()).collect(),
            ..Default::default()
        };
        assert!(container_matches(&labels(&["tier=front", "team"]), &container));
        assert!(!container_matches(&labels(&["tier=back"]), &container));
        assert!(!container_matches(&labels(&["tier", "none"]), &container));
        let named = ContainerSelect { names: vec!["we".into()], states: vec!["running".into()], ..Default::default() };
        assert!(container_matches(&named, &container));
    }
}
