//! `/api/v1/openapi.json`: the API described, made from the types and the handlers.

use super::types::Problem;
use super::{ApiAnswer, Handled};
use super::{
    alerts, audit, backup, containers, docker_clients, events, fleet, healthz, hosts, join_tokens, keys, metrics,
    network, session, sign_in_links, stream, tokens, users, vitals,
};
use crate::access::browser;
use std::sync::OnceLock;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, PathItem, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi as _};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Muster", description = "Roll call for a fleet of Docker hosts."),
    paths(
        hosts::list,
        hosts::show,
        hosts::change,
        hosts::change_all,
        hosts::remove,
        hosts::restore,
        hosts::rotate_credential,
        hosts::revoke_credential,
        containers::list,
        containers::find,
        containers::show,
        events::list,
        stream::open,
        join_tokens::list,
        join_tokens::make,
        join_tokens::revoke,
        tokens::list,
        tokens::make,
        tokens::revoke,
        docker_clients::list,
        docker_clients::make,
        docker_clients::revoke,
        audit::list,
        keys::status,
        keys::prepare,
        keys::rotate,
        keys::finish,
        keys::replace_backup,
        keys::addresses,
        keys::add_address,
        keys::remove_address,
        backup::give,
        vitals::host,
        vitals::container,
        vitals::top,
        vitals::sparklines,
        fleet::show,
        metrics::show,
        network::show,
        network::enable,
        network::disable,
        network::paths,
        network::ping,
        network::show_host,
        network::accept,
        network::remove,
        session::begin,
        session::show,
        session::end,
        sign_in_links::make,
        users::list,
        users::make,
        users::change,
        users::remove,
        alerts::list,
        alerts::settings,
        alerts::set,
        alerts::targets,
        alerts::add_target,
        alerts::remove_target,
        alerts::silences,
        alerts::silence,
        alerts::end_silence,
        alerts::test,
        healthz::show,
        document,
    ),
    components(schemas(Problem)),
    security(("token" = []), ("session" = [])),
    modifiers(&Shared),
)]
struct Document;

/// What all operations have in common.
struct Shared;

impl Modify for Shared {
    fn modify(&self, document: &mut OpenApi) {
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(browser::COOKIE)));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", bearer);
        components.add_security_scheme("session", cookie);
        for operation in document.paths.paths.values_mut().flat_map(operations) {
            let error = ResponseBuilder::new()
                .description("An error: 401 without a valid token, 403 where it may only read, 404, 409, 422, 503")
                .content("application/problem+json", Content::new(Some(Ref::from_schema_name("Problem"))))
                .build();
            operation.responses.responses.insert("default".to_string(), error.into());
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete].into_iter().flatten()
}

/// This document
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    tag = "server",
    security(()),
    responses((status = 200, description = "The API described", body = serde_json::Value)),
)]
pub fn document() -> Handled {
    // It is served to anybody, so it is made only once.
    static MADE: OnceLock<OpenApi> = OnceLock::new();
    Ok(ApiAnswer::json(200, MADE.get_or_init(openapi)))
}

/// The document as it is served.
pub fn openapi() -> OpenApi {
    Document::openapi()
}

#[cfg(test)]
mod tests {
    use crate::api::router::ROUTES;
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn document() -> Value {
        serde_json::to_value(super::openapi()).expect("JSON")
    }

    #[test]
    fn it_lists_the_routes_and_no_others() {
        let document = document();
        let described: BTreeSet<(String, String)> = document["paths"]
            .as_object()
            .expect("paths")
            .iter()
            .flat_map(|(path, item)| {
                item.as_object().expect("operations").keys().map(|method| (method.to_uppercase(), path.clone()))
            })
            .collect();
        let routed: BTreeSet<(String, String)> =
            ROUTES.iter().map(|route| (route.method.to_string(), route.path.to_string())).collect();
        assert_eq!(described, routed);
    }

    #[test]
    fn every_schema_it_refers_to_is_there_and_every_type_has_one() {
        let document = document();
        let schemas = document["components"]["schemas"].as_object().expect("schemas");
        let text = document.to_string();
        for part in text.split("\"#/components/schemas/").skip(1) {
            let name = part.split('"').next().expect("a name");
            assert!(schemas.contains_key(name), "{name} is missing");
        }
        for name in [
            "Host",
            "Engine",
            "ContainerCounts",
            "Container",
            "Port",
            "Network",
            "Mount",
            "Event",
            "JoinToken",
            "NewJoinToken",
            "MadeJoinToken",
            "ApiToken",
            "NewApiToken",
            "MadeApiToken",
            "ChangeHost",
            "ChangeHosts",
            "DockerClient",
            "NewDockerClient",
            "MadeDockerClient",
            "Audit",
            "Healthz",
            "FleetSummary",
            "Sparklines",
            "SignIn",
            "Session",
            "NewSignInLink",
            "MadeSignInLink",
            "User",
            "NewUser",
            "ChangeUser",
            "KeyStatus",
            "RotateKey",
            "AgentAddress",
            "HostVitals",
            "ContainerVitals",
            "HostHistory",
            "ContainerHistory",
            "Top",
            "ManagedNetwork",
            "NetworkHost",
            "NetworkPath",
            "EnableNetwork",
            "PingNetwork",
            "NetworkPing",
            "Alert",
            "AlertSettings",
            "AlertTarget",
            "NewAlertTarget",
            "AlertSilence",
            "NewAlertSilence",
            "AlertTest",
            "Problem",
            "Change",
        ] {
            assert!(schemas.contains_key(name), "{name} is missing");
        }
        assert!(schemas["Event"]["properties"]["type"].is_object(), "under the name that it has in JSON");
    }

    #[test]
    fn only_health_and_the_document_itself_are_open() {
        let document = document();
        let mut open = Vec::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("operations") {
                if operation.get("security").is_some() {
                    open.push(format!("{method} {path}"));
                }
                assert!(operation["responses"]["default"].is_object(), "{method} {path}");
            }
        }
        assert_eq!(open, ["get /api/v1/openapi.json", "post /api/v1/session", "get /healthz"]);
        assert_eq!(document["security"][0]["token"], Value::Array(Vec::new()));
    }
}
