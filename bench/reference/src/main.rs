//! A plain agent, as one would write it in an afternoon on tokio, bollard and reqwest: every event goes on as a JSON
//! POST as it comes, and every five seconds all containers go as JSON.
//!
//! It is meant to be good: one thread, one kept TLS connection where one is enough, no pool larger than needed, and
//! the engine's own JSON is not parsed more often than bollard does. It keeps nothing while the sink is away, has no
//! identity and proves no continuity: that is what Muster's agent does for its bytes.

use bollard::Docker;
use bollard::query_parameters::{EventsOptions, InspectContainerOptions, ListContainersOptions};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::error::Error;
use std::time::Duration;

/// Between reports.
const INTERVAL: Duration = Duration::from_secs(5);
/// For a call of the engine, in seconds.
const ENGINE_TIMEOUT: u64 = 30;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [socket, url, certificate, what] = &arguments[..] else {
        return Err("usage: reference-agent SOCKET URL CERTIFICATE inspect|list".into());
    };
    let docker = Docker::connect_with_socket(socket, ENGINE_TIMEOUT, bollard::API_DEFAULT_VERSION)?;
    let docker = docker.negotiate_version().await?;
    let certificate = reqwest::Certificate::from_pem(&std::fs::read(certificate)?)?;
    let client = reqwest::Client::builder().add_root_certificate(certificate).https_only(true).build()?;
    let sink = Sink { client, url: url.clone() };
    tokio::try_join!(forward_events(&docker, &sink), report(&docker, &sink, what == "inspect"))?;
    Ok(())
}

/// Where everything goes.
struct Sink {
    client: reqwest::Client,
    url: String,
}

impl Sink {
    async fn post(&self, what: &str, body: &Value) -> Outcome<()> {
        self.client.post(format!("{}/{what}", self.url)).json(body).send().await?.error_for_status()?;
        Ok(())
    }
}

async fn forward_events(docker: &Docker, sink: &Sink) -> Outcome<()> {
    let mut events = docker.events(None::<EventsOptions>);
    while let Some(event) = events.next().await {
        sink.post("event", &serde_json::to_value(event?)?).await?;
    }
    Err("the engine closed the stream of events".into())
}

async fn report(docker: &Docker, sink: &Sink, inspect: bool) -> Outcome<()> {
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        let all = ListContainersOptions { all: true, ..ListContainersOptions::default() };
        let containers = docker.list_containers(Some(all)).await?;
        let mut details = Vec::new();
        if inspect {
            for id in containers.iter().filter_map(|container| container.id.as_deref()) {
                details.push(docker.inspect_container(id, None::<InspectContainerOptions>).await?);
            }
        }
        sink.post("report", &json!({ "containers": containers, "details": details })).await?;
    }
}
