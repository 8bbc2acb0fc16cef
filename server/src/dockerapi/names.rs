//! Which container a reference means, and what containers are called: `/HOST/NAME`, as Swarm had it.

use super::Scope;
use crate::api::types::Container;
use crate::fleet::{Fleet, Refusal};

/// A container by `HOST/NAME`, `HOST/ID`, its name or id, or the beginning of its id; with or without a slash in front.
///
/// # Errors
/// There is none, in Docker's words, or it means several: then the refusal has them as `HOST/NAME`.
pub fn find(fleet: &Fleet, scope: &Scope, reference: &str) -> Result<Container, Refusal> {
    let reference = reference.trim_start_matches('/');
    let missing = |refusal| match refusal {
        Refusal::NotFound(_) => Refusal::NotFound(format!("No such container: {reference}")),
        other => other,
    };
    match (scope, reference.split_once('/')) {
        (Scope::Fleet, None) => fleet.container_anywhere(reference).map_err(missing),
        (Scope::Fleet, Some((host, name))) => fleet.container(host, name).map_err(missing),
        (Scope::Host(id), None) => fleet.container(id, reference).map_err(missing),
        // Who has it from a list of the whole fleet may go on with it here.
        (Scope::Host(id), Some((host, name))) => {
            let found = fleet.container(host, name).map_err(missing)?;
            if found.host_id == *id { Ok(found) } else { Err(missing(Refusal::NotFound(String::new()))) }
        }
    }
}

/// What a container is called: `/HOST/NAME` among all, `/NAME` on its host alone.
pub fn shown(container: &Container, scope: &Scope) -> String {
    match scope {
        Scope::Fleet => format!("/{}/{}", container.host, container.name),
        Scope::Host(_) => format!("/{}", container.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples;

    #[test]
    fn names_have_their_host_in_front_unless_there_is_only_one() {
        let container = samples::container("web", "running");
        assert_eq!(shown(&container, &Scope::Fleet), "/pi1/web");
        assert_eq!(shown(&container, &Scope::Host("00000000000000a1".into())), "/web");
    }
}
