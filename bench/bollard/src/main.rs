//! Looks at a fleet with bollard, by the socket file of `muster serve --docker-listen unix:///PATH`, and prints what it
//! finds as one JSON object: the end-to-end tests run it. When it follows events it says so with the line `ready`.

use bollard::Docker;
use bollard::query_parameters::{
    EventsOptions, InspectContainerOptions, ListContainersOptions, StatsOptions, StopContainerOptions,
};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::error::Error;

/// For a call, in seconds.
const TIMEOUT: u64 = 30;

/// One call, and its outcome as text where it is refused.
fn refused<T>(outcome: Result<T, bollard::errors::Error>) -> Value {
    match outcome {
        Err(bollard::errors::Error::DockerResponseServerError { status_code, message }) => {
            json!([status_code, message])
        }
        Err(other) => json!(other.to_string()),
        Ok(_) => Value::Null,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let socket = std::env::args().nth(1).ok_or("usage: bollard-client SOCKET")?;
    let docker = Docker::connect_with_socket(&socket, TIMEOUT, bollard::API_DEFAULT_VERSION)?;
    let docker = docker.negotiate_version().await?;
    let all = ListContainersOptions {
        all: true,
        filters: Some(HashMap::from([("node".to_owned(), vec!["boat-1".to_owned(), "boat-2".to_owned()])])),
        ..ListContainersOptions::default()
    };
    let containers = docker.list_containers(Some(all)).await?;
    let mut names: Vec<String> = containers.iter().flat_map(|one| one.names.clone().unwrap_or_default()).collect();
    names.sort();
    let lamp = docker.inspect_container("boat-1/lamp", None::<InspectContainerOptions>).await?;
    let once = StatsOptions { stream: false, ..StatsOptions::default() };
    let stats = docker.stats("boat-1/lamp", Some(once)).next().await.ok_or("no stats")??;
    let info = docker.info().await?;
    let stop = refused(docker.stop_container("boat-1/lamp", None::<StopContainerOptions>).await);
    let missing = refused(docker.inspect_container("nothing", None::<InspectContainerOptions>).await);
    let only = HashMap::from([("node".to_owned(), vec!["boat-1".to_owned()])]);
    let mut events = docker.events(Some(EventsOptions { filters: Some(only), ..EventsOptions::default() }));
    println!("ready");
    let event = events.next().await.ok_or("the stream of events is over")??;
    let attributes = event.actor.and_then(|actor| actor.attributes).unwrap_or_default();
    let found = json!({
        "names": names,
        "lamp": [lamp.name, lamp.state.and_then(|state| state.running)],
        "stats": [stats.name, stats.memory_stats.and_then(|memory| memory.usage)],
        "hosts": info.driver_status.and_then(|pairs| pairs.into_iter().next()),
        "stop": stop,
        "missing": missing,
        "live": attributes.get("node.name"),
    });
    println!("{found}");
    Ok(())
}
