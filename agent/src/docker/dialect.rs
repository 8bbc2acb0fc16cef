//! Where engine versions and Podman differ, and nowhere else.
//!
//! | | Docker | Podman |
//! |---|---|---|
//! | removal | `destroy` | `remove` |
//! | end | `die` | `die`, but filters know it as `died` |
//! | health event | `health_status: healthy` | `health_status`, and a key `HealthStatus` beside it |
//! | network event | the network's id, attribute `container` | the container's id, attribute `network` from 5 on |
//! | states | seven words | also `configured`, `initialized`, `stopping`, `stopped` |
//! | no health check | no `Health` | also one with an empty status; before 4, its name is `Healthcheck` |

use muster_protocol::container::{Health, State};
use std::borrow::Cow;

/// Actions that only other engines have, to be asked for beside Docker's. Podman says `die` to whoever asks for `died`.
pub const FOREIGN_ACTIONS: [&str; 2] = ["remove", "died"];

/// Docker's name of a container's action. `health` is the status that Podman puts beside the action.
pub fn container_action<'a>(action: &'a str, health: Option<&str>) -> &'a str {
    match (action, health) {
        ("remove", _) => "destroy",
        ("died", _) => "die",
        ("health_status", Some("healthy")) => "health_status: healthy",
        ("health_status", Some("unhealthy")) => "health_status: unhealthy",
        ("health_status", Some("starting")) => "health_status: starting",
        _ => action,
    }
}

/// The state that an engine's word stands for.
pub fn state(word: &str) -> State {
    match word {
        "configured" | "initialized" => State::Created,
        "stopping" => State::Running,
        // Between the end of the process and Podman's cleaning up.
        "stopped" => State::Exited,
        _ => State::from_word(word),
    }
}

/// The health in an inspect: `health` is Docker's and newer Podman's place, `healthcheck` that of Podman before 4.
pub fn health(health: Option<&str>, healthcheck: Option<&str>) -> Health {
    [health, healthcheck].into_iter().flatten().find(|word| !word.is_empty()).map_or(Health::None, Health::from_word)
}

/// What the list's status text says of the last exit code: `Exited (137) 2 seconds ago`, `Restarting (1) ...`.
pub fn exit_code_in_status(status: &str) -> Option<i32> {
    let rest = status.strip_prefix("Exited (").or_else(|| status.strip_prefix("Restarting ("))?;
    rest.split_once(')')?.0.parse().ok()
}

/// What the list's status text says of health. Podman's says nothing.
pub fn health_in_status(status: &str) -> Health {
    match status.trim_end().rsplit_once('(').map(|(_, word)| word) {
        Some("healthy)") => Health::Healthy,
        Some("unhealthy)") => Health::Unhealthy,
        Some("health: starting)") => Health::Starting,
        _ => Health::None,
    }
}

/// Podman names the container as a network event's actor and has no `container` attribute. Whether it is one of
/// those.
pub fn actor_is_the_container(attributes: &[(Cow<'_, str>, Cow<'_, str>)]) -> bool {
    !attributes.iter().any(|(key, _)| key == "container")
        && attributes.iter().any(|(key, _)| key == "podId" || key == "network")
}

/// Makes the attributes of such a network event like Docker's, where `name` is the network's: Podman has the
/// container's there, and the network's in `network`, if at all.
pub fn rename_network(attributes: &mut Vec<(Cow<'_, str>, Cow<'_, str>)>) {
    attributes.retain(|(key, _)| key != "name");
    for (key, _) in attributes.iter_mut().filter(|(key, _)| key == "network") {
        *key = Cow::Borrowed("name");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn podmans_words_become_dockers() {
        assert_eq!(container_action("remove", None), "destroy");
        assert_eq!(container_action("died", None), "die");
        assert_eq!(container_action("health_status", Some("healthy")), "health_status: healthy");
        assert_eq!(container_action("health_status: healthy", None), "health_status: healthy");
        assert_eq!(container_action("die", Some("healthy")), "die");
        assert_eq!(state("stopped"), State::Exited);
        assert_eq!(state("initialized"), State::Created);
        assert_eq!(state("running"), State::Running);
        assert_eq!(state("gone fishing"), State::Unknown);
        assert_eq!(health(None, Some("unhealthy")), Health::Unhealthy);
        assert_eq!(health(Some(""), Some("healthy")), Health::Healthy);
        assert_eq!(health(Some(""), None), Health::None);
    }

    #[test]
    fn status_texts() {
        assert_eq!(exit_code_in_status("Exited (137) 2 seconds ago"), Some(137));
        assert_eq!(exit_code_in_status("Restarting (1) Less than a second ago"), Some(1));
        assert_eq!(exit_code_in_status("Exited (-1) 2 hours ago"), Some(-1));
        for none in ["Up 3 seconds", "Created", "", "Exited (", "Exited (x) ago", "Exited (99999999999) ago"] {
            assert_eq!(exit_code_in_status(none), None, "{none}");
        }
        assert_eq!(health_in_status("Up 4 seconds (healthy)"), Health::Healthy);
        assert_eq!(health_in_status("Up 4 seconds (unhealthy)"), Health::Unhealthy);
        assert_eq!(health_in_status("Up 3 seconds (health: starting)"), Health::Starting);
        for none in ["Up 3 seconds", "Up 5 seconds (Paused)", "", "Exited (1) 5 seconds ago", "("] {
            assert_eq!(health_in_status(none), Health::None, "{none}");
        }
    }
}
