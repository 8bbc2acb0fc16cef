//! From a method and a path to a handler, past the question who may do it.

use super::problem::{problem, shown};
use super::types::Problem;
use super::{ApiAnswer, ApiRequest, Handled, Role, query};
use super::{
    alerts, audit, backup, containers, docker_clients, events, fleet as fleets, healthz, hosts, join_tokens, keys,
    metrics, network, openapi, session, sign_in_links, stream, tokens, users, vitals,
};
use crate::fleet::Fleet;

/// One line of the table of routes.
#[derive(Debug)]
pub struct Route {
    /// Such as `GET`, which also answers `HEAD`.
    pub method: &'static str,
    /// With `{name}` for what varies.
    pub path: &'static str,
    /// Who may; `None`: anybody.
    pub role: Option<Role>,
    operation: Operation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    ListHosts,
    ShowHost,
    ChangeHost,
    ChangeHosts,
    RemoveHost,
    RestoreHost,
    RotateCredential,
    RevokeCredential,
    ListContainers,
    FindContainer,
    ShowContainer,
    ListEvents,
    OpenStream,
    ListJoinTokens,
    MakeJoinToken,
    RevokeJoinToken,
    ListTokens,
    MakeToken,
    RevokeToken,
    ListAudit,
    ListDockerClients,
    MakeDockerClient,
    RevokeDockerClient,
    ShowKeys,
    PrepareKey,
    RotateKey,
    FinishRotation,
    ReplaceBackupKey,
    ListAddresses,
    AddAddress,
    RemoveAddress,
    GiveBackup,
    HostVitals,
    ContainerVitals,
    Top,
    Metrics,
    ShowNetwork,
    EnableNetwork,
    DisableNetwork,
    ListNetworkPaths,
    PingNetwork,
    AcceptNetworkKey,
    ShowNetworkHost,
    RemoveFromNetwork,
    SignIn,
    ShowSession,
    SignOut,
    MakeSignInLink,
    ListUsers,
    MakeUser,
    ChangeUser,
    RemoveUser,
    ShowFleet,
    Sparklines,
    ListAlerts,
    ShowAlertSettings,
    SetAlertSettings,
    ListAlertTargets,
    AddAlertTarget,
    RemoveAlertTarget,
    ListSilences,
    MakeSilence,
    EndSilence,
    TestAlerts,
    ShowHealth,
    ShowDocument,
}

const fn route(method: &'static str, path: &'static str, role: Option<Role>, operation: Operation) -> Route {
    Route { method, path, role, operation }
}

const VIEWER: Option<Role> = Some(Role::Viewer);
const ADMIN: Option<Role> = Some(Role::Admin);

/// All routes.
pub const ROUTES: &[Route] = &[
    route("GET", "/api/v1/hosts", VIEWER, Operation::ListHosts),
    route("GET", "/api/v1/hosts/{host}", VIEWER, Operation::ShowHost),
    route("PATCH", "/api/v1/hosts/{host}", ADMIN, Operation::ChangeHost),
    route("DELETE", "/api/v1/hosts/{host}", ADMIN, Operation::RemoveHost),
    route("PATCH", "/api/v1/hosts", ADMIN, Operation::ChangeHosts),
    route("POST", "/api/v1/hosts/{host}/restore", ADMIN, Operation::RestoreHost),
    route("POST", "/api/v1/hosts/{host}/credential/rotate", ADMIN, Operation::RotateCredential),
    route("POST", "/api/v1/hosts/{host}/credential/revoke", ADMIN, Operation::RevokeCredential),
    route("GET", "/api/v1/containers", VIEWER, Operation::ListContainers),
    route("GET", "/api/v1/containers/{container}", VIEWER, Operation::FindContainer),
    route("GET", "/api/v1/containers/{host}/{container}", VIEWER, Operation::ShowContainer),
    route("GET", "/api/v1/events", VIEWER, Operation::ListEvents),
    route("GET", "/api/v1/stream", VIEWER, Operation::OpenStream),
    route("GET", "/api/v1/join-tokens", VIEWER, Operation::ListJoinTokens),
    route("POST", "/api/v1/join-tokens", ADMIN, Operation::MakeJoinToken),
    route("DELETE", "/api/v1/join-tokens/{id}", ADMIN, Operation::RevokeJoinToken),
    route("GET", "/api/v1/tokens", VIEWER, Operation::ListTokens),
    route("POST", "/api/v1/tokens", ADMIN, Operation::MakeToken),
    route("DELETE", "/api/v1/tokens/{id}", ADMIN, Operation::RevokeToken),
    route("GET", "/api/v1/docker-clients", VIEWER, Operation::ListDockerClients),
    route("POST", "/api/v1/docker-clients", ADMIN, Operation::MakeDockerClient),
    route("DELETE", "/api/v1/docker-clients/{id}", ADMIN, Operation::RevokeDockerClient),
    route("GET", "/api/v1/audit", ADMIN, Operation::ListAudit),
    route("GET", "/api/v1/keys", VIEWER, Operation::ShowKeys),
    route("POST", "/api/v1/keys/prepare", ADMIN, Operation::PrepareKey),
    route("POST", "/api/v1/keys/rotate", ADMIN, Operation::RotateKey),
    route("POST", "/api/v1/keys/finish", ADMIN, Operation::FinishRotation),
    route("POST", "/api/v1/keys/backup", ADMIN, Operation::ReplaceBackupKey),
    route("GET", "/api/v1/addresses", VIEWER, Operation::ListAddresses),
    route("POST", "/api/v1/addresses", ADMIN, Operation::AddAddress),
    route("DELETE", "/api/v1/addresses/{address}", ADMIN, Operation::RemoveAddress),
    route("GET", "/api/v1/backup", ADMIN, Operation::GiveBackup),
    route("GET", "/api/v1/hosts/{host}/vitals", VIEWER, Operation::HostVitals),
    route("GET", "/api/v1/containers/{host}/{container}/vitals", VIEWER, Operation::ContainerVitals),
    route("GET", "/api/v1/fleet", VIEWER, Operation::ShowFleet),
    route("GET", "/api/v1/vitals", VIEWER, Operation::Sparklines),
    route("GET", "/api/v1/top", VIEWER, Operation::Top),
    route("GET", "/api/v1/network", VIEWER, Operation::ShowNetwork),
    route("POST", "/api/v1/network", ADMIN, Operation::EnableNetwork),
    route("DELETE", "/api/v1/network", ADMIN, Operation::DisableNetwork),
    route("GET", "/api/v1/network/paths", VIEWER, Operation::ListNetworkPaths),
    route("POST", "/api/v1/network/ping", ADMIN, Operation::PingNetwork),
    route("POST", "/api/v1/network/hosts/{host}/accept", ADMIN, Operation::AcceptNetworkKey),
    route("GET", "/api/v1/network/hosts/{host}", VIEWER, Operation::ShowNetworkHost),
    route("DELETE", "/api/v1/network/hosts/{host}", ADMIN, Operation::RemoveFromNetwork),
    route("POST", session::PATH, None, Operation::SignIn),
    route("GET", session::PATH, VIEWER, Operation::ShowSession),
    route("DELETE", session::PATH, VIEWER, Operation::SignOut),
    route("POST", "/api/v1/sign-in-links", ADMIN, Operation::MakeSignInLink),
    route("GET", "/api/v1/users", ADMIN, Operation::ListUsers),
    route("POST", "/api/v1/users", ADMIN, Operation::MakeUser),
    route("PATCH", "/api/v1/users/{user}", ADMIN, Operation::ChangeUser),
    route("DELETE", "/api/v1/users/{user}", ADMIN, Operation::RemoveUser),
    route("GET", "/api/v1/alerts", VIEWER, Operation::ListAlerts),
    route("GET", "/api/v1/alerts/settings", VIEWER, Operation::ShowAlertSettings),
    route("PUT", "/api/v1/alerts/settings", ADMIN, Operation::SetAlertSettings),
    route("GET", "/api/v1/alerts/targets", VIEWER, Operation::ListAlertTargets),
    route("POST", "/api/v1/alerts/targets", ADMIN, Operation::AddAlertTarget),
    route("DELETE", "/api/v1/alerts/targets/{name}", ADMIN, Operation::RemoveAlertTarget),
    route("GET", "/api/v1/alerts/silences", VIEWER, Operation::ListSilences),
    route("POST", "/api/v1/alerts/silences", ADMIN, Operation::MakeSilence),
    route("DELETE", "/api/v1/alerts/silences/{id}", ADMIN, Operation::EndSilence),
    route("POST", "/api/v1/alerts/test", ADMIN, Operation::TestAlerts),
    route("GET", METRICS, VIEWER, Operation::Metrics),
    route("GET", "/healthz", None, Operation::ShowHealth),
    route("GET", "/api/v1/openapi.json", None, Operation::ShowDocument),
];

/// Where Prometheus asks, which knows no paths of an API.
pub const METRICS: &str = "/metrics";

/// What every path of the API that needs a token begins with.
const API: &str = "/api/";

/// Answers a request. Never fails: errors are answers too.
pub async fn answer(fleet: &Fleet, request: &ApiRequest<'_>) -> ApiAnswer {
    match find(request) {
        Ok((operation, parameters)) => {
            let parameters: Vec<&str> = parameters.iter().map(String::as_str).collect();
            run(fleet, request, operation, &parameters).await.unwrap_or_else(|problem| ApiAnswer::problem(&problem))
        }
        Err(Refused { problem, header }) => {
            if let (403, Some(by)) = (problem.status, request.by) {
                fleet.note_denied(by, &format!("{} {}", shown(request.method), shown(request.path)));
            }
            let answer = ApiAnswer::problem(&problem);
            match header {
                Some((name, value)) => answer.header(name, value),
                None => answer,
            }
        }
    }
}

/// Not even a handler saw it.
#[derive(Debug)]
struct Refused {
    problem: Problem,
    header: Option<(&'static str, String)>,
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Refused {
        Refused { problem, header: None }
    }
}

/// Whose request it is, and what varies in its path.
fn find(request: &ApiRequest<'_>) -> Result<(Operation, Vec<String>), Refused> {
    let here: Vec<(&Route, Vec<&str>)> =
        ROUTES.iter().filter_map(|route| Some((route, parameters(route.path, request.path)?))).collect();
    let open = here.iter().any(|(route, _)| route.role.is_none() && answers(route, request.method));
    // Who has no token does not learn which paths there are.
    if request.by.is_none() && (request.path.starts_with(API) || !here.is_empty()) && !open {
        return Err(Refused {
            problem: problem(401, "this needs a valid API token: send it as `Authorization: Bearer TOKEN`"),
            header: Some(("www-authenticate", "Bearer".to_string())),
        });
    }
    if here.is_empty() {
        let detail = format!("there is nothing at {}: see /api/v1/openapi.json for what there is", shown(request.path));
        return Err(problem(404, detail).into());
    }
    let Some((route, parameters)) = here.iter().find(|(route, _)| answers(route, request.method)) else {
        let mut allowed: Vec<&str> = here.iter().map(|(route, _)| route.method).collect();
        if here.iter().any(|(route, _)| answers(route, "HEAD")) {
            allowed.push("HEAD");
        }
        let allowed = allowed.join(", ");
        return Err(Refused {
            problem: problem(405, format!("{} is not possible here, only {allowed}", shown(request.method))),
            header: Some(("allow", allowed)),
        });
    };
    if route.role > request.role() {
        return Err(problem(403, "this token may only read: this needs one with the role admin").into());
    }
    let decoded: Option<Vec<String>> = parameters.iter().map(|part| query::decode(part)).collect();
    match decoded {
        Some(decoded) => Ok((route.operation, decoded)),
        None => Err(problem(400, "the path is not percent-encoded UTF-8").into()),
    }
}

/// A stream has no end that `HEAD` could wait for.
fn answers(route: &Route, method: &str) -> bool {
    route.method == method || (method == "HEAD" && route.method == "GET" && route.operation != Operation::OpenStream)
}

/// What stands in `path` where `pattern` has `{name}`, if it matches.
fn parameters<'a>(pattern: &str, path: &'a str) -> Option<Vec<&'a str>> {
    let mut found = Vec::new();
    let mut parts = path.split('/');
    for expected in pattern.split('/') {
        let part = parts.next()?;
        if expected.starts_with('{') {
            if part.is_empty() {
                return None;
            }
            found.push(part);
        } else if expected != part {
            return None;
        }
    }
    parts.next().is_none().then_some(found)
}

async fn run(fleet: &Fleet, request: &ApiRequest<'_>, operation: Operation, parameters: &[&str]) -> Handled {
    match (operation, parameters) {
        (Operation::ListHosts, []) => hosts::list(fleet, request),
        (Operation::ShowHost, [host]) => hosts::show(fleet, request, host),
        (Operation::ChangeHost, [host]) => hosts::change(fleet, request, host).await,
        (Operation::RemoveHost, [host]) => hosts::remove(fleet, request, host).await,
        (Operation::ChangeHosts, []) => hosts::change_all(fleet, request).await,
        (Operation::RestoreHost, [host]) => hosts::restore(fleet, request, host).await,
        (Operation::RotateCredential, [host]) => hosts::rotate_credential(fleet, request, host).await,
        (Operation::RevokeCredential, [host]) => hosts::revoke_credential(fleet, request, host).await,
        (Operation::ListContainers, []) => containers::list(fleet, request).await,
        (Operation::FindContainer, [container]) => containers::find(fleet, request, container),
        (Operation::ShowContainer, [host, container]) => containers::show(fleet, request, host, container),
        (Operation::ListEvents, []) => events::list(fleet, request).await,
        (Operation::OpenStream, []) => stream::open(fleet, request),
        (Operation::ListJoinTokens, []) => join_tokens::list(fleet, request),
        (Operation::MakeJoinToken, []) => join_tokens::make(fleet, request).await,
        (Operation::RevokeJoinToken, [id]) => join_tokens::revoke(fleet, request, id).await,
        (Operation::ListTokens, []) => tokens::list(fleet, request),
        (Operation::MakeToken, []) => tokens::make(fleet, request).await,
        (Operation::RevokeToken, [id]) => tokens::revoke(fleet, request, id).await,
        (Operation::ListDockerClients, []) => docker_clients::list(fleet, request),
        (Operation::MakeDockerClient, []) => docker_clients::make(fleet, request).await,
        (Operation::RevokeDockerClient, [id]) => docker_clients::revoke(fleet, request, id).await,
        (Operation::ListAudit, []) => audit::list(fleet, request).await,
        (Operation::ShowKeys, []) => keys::status(fleet, request),
        (Operation::PrepareKey, []) => keys::prepare(fleet, request).await,
        (Operation::RotateKey, []) => keys::rotate(fleet, request).await,
        (Operation::FinishRotation, []) => keys::finish(fleet, request).await,
        (Operation::ReplaceBackupKey, []) => keys::replace_backup(fleet, request).await,
        (Operation::ListAddresses, []) => keys::addresses(fleet, request),
        (Operation::AddAddress, []) => keys::add_address(fleet, request).await,
        (Operation::RemoveAddress, [address]) => keys::remove_address(fleet, request, address).await,
        (Operation::GiveBackup, []) => backup::give(fleet, request).await,
        (Operation::HostVitals, [host]) => vitals::host(fleet, request, host).await,
        (Operation::ContainerVitals, [host, container]) => vitals::container(fleet, request, host, container),
        (Operation::ShowFleet, []) => fleets::show(fleet, request),
        (Operation::Sparklines, []) => vitals::sparklines(fleet, request).await,
        (Operation::Top, []) => vitals::top(fleet, request).await,
        (Operation::ShowNetwork, []) => network::show(fleet, request),
        (Operation::EnableNetwork, []) => network::enable(fleet, request).await,
        (Operation::DisableNetwork, []) => network::disable(fleet, request).await,
        (Operation::ListNetworkPaths, []) => network::paths(fleet, request),
        (Operation::PingNetwork, []) => network::ping(fleet, request).await,
        (Operation::RemoveFromNetwork, [host]) => network::remove(fleet, request, host).await,
        (Operation::ShowNetworkHost, [host]) => network::show_host(fleet, request, host),
        (Operation::AcceptNetworkKey, [host]) => network::accept(fleet, request, host).await,
        (Operation::SignIn, []) => session::begin(fleet, request).await,
        (Operation::ShowSession, []) => session::show(fleet, request),
        (Operation::SignOut, []) => session::end(fleet, request).await,
        (Operation::MakeSignInLink, []) => sign_in_links::make(fleet, request).await,
        (Operation::ListUsers, []) => users::list(fleet, request),
        (Operation::MakeUser, []) => users::make(fleet, request).await,
        (Operation::ChangeUser, [user]) => users::change(fleet, request, user).await,
        (Operation::RemoveUser, [user]) => users::remove(fleet, request, user).await,
        (Operation::ListAlerts, []) => alerts::list(fleet, request),
        (Operation::ShowAlertSettings, []) => alerts::settings(fleet, request),
        (Operation::SetAlertSettings, []) => alerts::set(fleet, request).await,
        (Operation::ListAlertTargets, []) => alerts::targets(fleet, request),
        (Operation::AddAlertTarget, []) => alerts::add_target(fleet, request).await,
        (Operation::RemoveAlertTarget, [name]) => alerts::remove_target(fleet, request, name).await,
        (Operation::ListSilences, []) => alerts::silences(fleet, request),
        (Operation::MakeSilence, []) => alerts::silence(fleet, request).await,
        (Operation::EndSilence, [id]) => alerts::end_silence(fleet, request, id).await,
        (Operation::TestAlerts, []) => alerts::test(fleet, request).await,
        (Operation::Metrics, []) => metrics::show(fleet, request).await,
        (Operation::ShowHealth, []) => healthz::show(fleet),
        (Operation::ShowDocument, []) => openapi::document(),
        // The table's patterns and this match disagree: the test below tries every route.
        _ => Err(problem(404, "there is nothing here")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::By;

    fn request<'a>(method: &'a str, path: &'a str, by: Option<&'a By>) -> ApiRequest<'a> {
        ApiRequest {
            method,
            path,
            query: &[],
            body: &[],
            by,
            last_event_id: None,
            peer: std::net::Ipv4Addr::LOCALHOST.into(),
        }
    }

    fn by(role: Role) -> By {
        By { role, token: "t".into(), name: String::new(), peer: "::1".into() }
    }

    fn found(method: &str, path: &str, role: Option<Role>) -> Result<(Operation, Vec<String>), (u16, Option<String>)> {
        let by = role.map(by);
        find(&request(method, path, by.as_ref()))
            .map_err(|refused| (refused.problem.status, refused.header.map(|(name, value)| format!("{name}: {value}"))))
    }

    #[test]
    fn every_route_is_found_with_what_varies_in_it() {
        for route in ROUTES {
            let path = route
                .path
                .replace("{host}", "h")
                .replace("{container}", "c")
                .replace("{id}", "i")
                .replace("{name}", "n")
                .replace("{address}", "a:1")
                .replace("{user}", "u");
            let (operation, parameters) = found(route.method, &path, route.role).expect(route.path);
            assert_eq!(operation, route.operation);
            assert_eq!(parameters.len(), route.path.matches('{').count());
        }
        let both = found("GET", "/api/v1/containers/pi%201/a%2Fb", VIEWER);
        assert_eq!(both, Ok((Operation::ShowContainer, vec!["pi 1".to_string(), "a/b".to_string()])));
    }

    #[test]
    fn without_a_token_only_open_routes_answer() {
        for route in ROUTES {
            let path = route.path.replace(['{', '}'], "");
            match (route.role, found(route.method, &path, None)) {
                (None, Ok(_)) => {}
                (Some(_), Err((401, Some(header)))) => assert_eq!(header, "www-authenticate: Bearer"),
                (_, other) => panic!("{}: {other:?}", route.path),
            }
        }
        assert_eq!(found("GET", "/api/v1/nothing", None).map_err(|e| e.0), Err(401));
    }

    #[test]
    fn viewers_change_nothing() {
        for route in ROUTES.iter().filter(|route| route.role.is_some()) {
            let path = route.path.replace(['{', '}'], "");
            let allowed = found(route.method, &path, VIEWER).map(|_| ()).map_err(|(status, _)| status);
            let may = route.role == VIEWER;
            assert_eq!(allowed, if may { Ok(()) } else { Err(403) }, "{}", route.path);
            let is_own = route.operation == Operation::SignOut;
            assert!(route.method == "GET" || !may || is_own, "{} changes something", route.path);
        }
    }

    #[test]
    fn wrong_paths_and_methods() {
        for path in ["/", "/api", "/api/v1/hosts/", "/api/v1/hosts/a/b", "/api/v1/containers//x", "/healthz/x"] {
            assert_eq!(found("GET", path, ADMIN).map_err(|e| e.0), Err(404), "{path}");
        }
        let allow = |path| found("PUT", path, ADMIN).expect_err("a refusal");
        assert_eq!(allow("/api/v1/hosts/a"), (405, Some("allow: GET, PATCH, DELETE, HEAD".into())));
        assert_eq!(allow("/api/v1/stream"), (405, Some("allow: GET".into())));
        assert_eq!(found("HEAD", "/healthz", None).map(|(operation, _)| operation), Ok(Operation::ShowHealth));
        assert_eq!(found("GET", "/api/v1/hosts/%ff", VIEWER).map_err(|e| e.0), Err(400));
    }
}
