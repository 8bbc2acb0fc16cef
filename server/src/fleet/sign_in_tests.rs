//! Signing in, and what ends it.

use super::*;
use crate::access::password::Password;
use crate::access::tokens::{ADMIN, Role};
use crate::access::web_sessions::IDLE_MS;
use crate::api::types::{ChangeUser, NewApiToken, NewSignInLink, NewUser};
use crate::store::memory::MemoryStore;
use futures_lite::future::{self, block_on};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const FROM: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const ADMIN_TOKEN: &str = "ma_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const PASSWORD: &str = "correct horse battery";

struct Test {
    store: Arc<MemoryStore>,
    fleet: Fleet,
    _dir: crate::test_dir::TestDir,
}

fn begin(store: MemoryStore, admin: &str) -> Test {
    let dir = crate::test_dir::TestDir::new();
    let keys = Arc::new(Keys::open(dir.path()).expect("keys"));
    let store = Arc::new(store);
    let admin = Secret::parse(admin).expect("a token");
    let address = "fleet.example:7443".parse().expect("an address");
    let fleet = Fleet::open(store.clone(), &admin, "boot".into(), address, keys).expect("a fleet");
    Test { store, fleet, _dir: dir }
}

fn by() -> By {
    By { role: Role::Admin, token: ADMIN.into(), name: String::new(), peer: FROM.to_string() }
}

impl Test {
    fn new() -> Test {
        begin(MemoryStore::new(), ADMIN_TOKEN)
    }

    fn restarted(&self, admin: &str) -> Test {
        begin(self.store.restarted(), admin)
    }

    fn user(&self, name: &str, role: &str) {
        let new = NewUser { name: name.into(), role: role.into(), password: Password::new(PASSWORD.into()) };
        block_on(self.fleet.make_user(&by(), new)).expect("a user");
    }

    fn password(&self, name: &str, password: &str) -> Result<SignedIn, NotSignedIn> {
        block_on(self.fleet.sign_in_by_password(FROM, name, Password::new(password.into())))
    }

    fn token(&self, token: &str) -> Result<SignedIn, NotSignedIn> {
        block_on(self.fleet.sign_in_by_token(FROM, token))
    }

    fn link(&self, by: &By, role: &str) -> String {
        let new = NewSignInLink { role: role.into(), ttl: None, name: String::new() };
        block_on(self.fleet.make_sign_in_link(by, new)).expect("a link").token
    }

    fn is_in(&self, signed_in: &SignedIn) -> bool {
        self.fleet.by_session_secret(signed_in.secret.expose(), FROM).is_some()
    }

    fn audit(&self) -> Vec<String> {
        let rows = block_on(self.fleet.audit(u64::MAX, 500, AuditSelect::default())).expect("rows").0;
        rows.iter().rev().map(|row| format!("{} {} {}", row.name, row.action, row.target)).collect()
    }
}

#[test]
fn a_user_signs_in_with_the_right_password_only() {
    let test = Test::new();
    test.user("ada", "viewer");
    for (name, password) in [("ada", "correct horse batterY"), ("ada", ""), ("bob", PASSWORD), ("", PASSWORD)] {
        assert_eq!(test.password(name, password).expect_err("wrong"), NotSignedIn::Wrong);
    }
    let signed_in = test.password("ada", PASSWORD).expect("in");
    let by = test.fleet.by_session_secret(signed_in.secret.expose(), FROM).expect("a session");
    assert_eq!((by.role, by.name.as_str()), (Role::Viewer, "ada"));
    assert!(test.fleet.still_knows(&by));
    block_on(test.fleet.sign_out(&by)).expect("out");
    assert!(!test.is_in(&signed_in) && !test.fleet.still_knows(&by));
    let audit = test.audit();
    assert_eq!(audit[0], " user.make ada");
    assert_eq!(
        audit[1..5],
        [
            " session.refused ada",
            " session.refused ada",
            " session.refused unknown user",
            " session.refused unknown user"
        ]
    );
    assert_eq!(audit[5..], ["ada session.begin ada", "ada session.end ada"]);
    assert!(!format!("{audit:?}").contains(PASSWORD));
}

#[test]
fn a_link_lets_in_once_and_an_api_token_as_often_as_one_likes() {
    let test = Test::new();
    let link = test.link(&by(), "viewer");
    assert_eq!(test.token(&link).expect("in").visitor.role, Role::Viewer);
    assert_eq!(test.token(&link).expect_err("used up"), NotSignedIn::Wrong);
    for _ in 0..2 {
        let signed_in = test.token(ADMIN_TOKEN).expect("in");
        assert_eq!((signed_in.visitor.role, signed_in.visitor.name.as_str()), (Role::Admin, ADMIN));
    }
    assert_eq!(test.token("").expect_err("none"), NotSignedIn::Wrong);
    assert!(test.fleet.authenticate(&link).is_none(), "a link is no API token");
}

#[test]
fn a_link_that_is_followed_twice_at_once_lets_in_one() {
    let test = Test::new();
    let link = test.link(&by(), "admin");
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| test.token(&link).is_ok())).collect();
        threads.into_iter().map(|thread| thread.join().expect("joined")).collect()
    });
    assert_eq!(outcomes.into_iter().filter(|is_in| *is_in).count(), 1);
}

#[test]
fn a_link_that_is_followed_while_its_maker_loses_the_right_lets_nobody_in() {
    let test = Test::new();
    test.user("ada", "admin");
    let session = test.password("ada", PASSWORD).expect("in");
    let ada = test.fleet.by_session_secret(session.secret.expose(), FROM).expect("her session");
    let link = test.link(&ada, "admin");
    // Both wait for the registry, the change first.
    let held = block_on(test.fleet.registry.lock_arc());
    let admin = by();
    let lower = test.fleet.change_user(&admin, "ada", ChangeUser { role: Some("viewer".into()), password: None });
    let follow = test.fleet.sign_in_by_token(FROM, &link);
    let let_go = async {
        future::yield_now().await;
        drop(held);
    };
    let ((lowered, followed), ()) = block_on(future::zip(future::zip(lower, follow), let_go));
    lowered.expect("a viewer");
    assert_eq!(followed.expect_err("no admin any more"), NotSignedIn::Wrong);
    // Whom the server still takes for what she was makes nothing that is worth anything.
    let late = test.link(&ada, "admin");
    assert_eq!(test.token(&late).expect_err("by no right"), NotSignedIn::Wrong);
}

#[test]
fn too_many_attempts_have_to_wait_and_a_right_token_never_does() {
    let test = Test::new();
    test.user("ada", "admin");
    let outcomes: Vec<_> = (0..8).map(|_| test.password("ada", "wrong wrong wrong").expect_err("wrong")).collect();
    assert_eq!(outcomes[..5], vec![NotSignedIn::Wrong; 5]);
    // How long is proven in `attempts`: here time passes while passwords are looked at.
    assert!(matches!(outcomes[5], NotSignedIn::Wait(1..=10_000)), "{:?}", outcomes[5]);
    assert!(matches!(test.password("ada", PASSWORD), Err(NotSignedIn::Wait(_))));
    test.fleet.skip(Duration::from_secs(10));
    test.password("ada", PASSWORD).expect("in");
    for _ in 0..20 {
        assert_eq!(test.token("ml_wrong").expect_err("wrong"), NotSignedIn::Wrong);
    }
    assert!(matches!(test.token("ml_wrong"), Err(NotSignedIn::Wait(_))));
    test.token(&test.link(&by(), "admin")).expect("in");
    let refused = test.audit().iter().filter(|row| row.contains("session.refused")).count();
    assert_eq!(refused, 10, "the log is not pushed out");
}

#[test]
fn what_changes_of_a_user_ends_its_sessions_and_what_they_have_open() {
    let test = Test::new();
    test.user("ada", "admin");
    test.user("bob", "viewer");
    let bob = test.password("bob", PASSWORD).expect("in");
    let change = |change: ChangeUser| block_on(test.fleet.change_user(&by(), "ada", change)).map(|_| ());
    let role = || change(ChangeUser { role: Some("viewer".into()), password: None });
    let set_password = || change(ChangeUser { role: None, password: Some(Password::new("another password".into())) });
    let remove = || block_on(test.fleet.remove_user(&by(), "ada"));
    for (end, password) in [0, 1, 2].into_iter().zip([PASSWORD, PASSWORD, "another password"]) {
        let ada = test.password("ada", password).expect("in");
        let by = test.fleet.by_session_secret(ada.secret.expose(), FROM).expect("a session");
        let link = test.link(&by, "viewer");
        let mut stream = test.fleet.feed().subscribe(&by.token, None).expect("a place");
        match end {
            0 => role(),
            1 => set_password(),
            _ => remove(),
        }
        .expect("done");
        assert!(!test.is_in(&ada));
        assert_eq!(block_on(stream.next()), None, "it is cut");
        assert_eq!(test.token(&link).expect_err("over"), NotSignedIn::Wrong, "and so are links that it made");
    }
    assert!(test.is_in(&bob));
    assert_eq!(test.password("ada", PASSWORD).expect_err("gone"), NotSignedIn::Wrong);
}

#[test]
fn sessions_of_a_token_end_with_it() {
    let test = Test::new();
    let made = block_on(test.fleet.make_api_token(&by(), NewApiToken { role: "admin".into(), name: "wall".into() }));
    let made = made.expect("a token");
    let wall = test.token(&made.token).expect("in");
    let holder = test.fleet.authenticate(&made.token).expect("known");
    let guest = test.token(&test.link(&By::holder(holder, FROM), "viewer")).expect("in");
    let other = test.token(ADMIN_TOKEN).expect("in");
    assert_eq!(wall.visitor.name, "wall");
    block_on(test.fleet.revoke_api_token(&by(), &made.about.id)).expect("revoked");
    assert!(!test.is_in(&wall) && !test.is_in(&guest) && test.is_in(&other));
}

#[test]
fn a_restart_keeps_sessions_but_not_those_of_another_admin_token() {
    let test = Test::new();
    test.user("ada", "viewer");
    let (ada, admin) = (test.password("ada", PASSWORD).expect("in"), test.token(ADMIN_TOKEN).expect("in"));
    let out = test.password("ada", PASSWORD).expect("in");
    block_on(test.fleet.sign_out(&test.fleet.by_session_secret(out.secret.expose(), FROM).expect("in"))).expect("out");
    let again = test.restarted(ADMIN_TOKEN);
    assert!(again.is_in(&ada) && again.is_in(&admin) && !again.is_in(&out));
    let other = test.restarted("ma_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
    assert!(other.is_in(&ada) && !other.is_in(&admin));
    assert!(block_on(other.fleet.sign_in_by_password(FROM, "ada", Password::new(PASSWORD.into()))).is_ok());
}

#[test]
fn a_session_that_is_not_used_is_over_at_the_next_look_and_its_stream_too() {
    let test = Test::new();
    let signed_in = test.token(ADMIN_TOKEN).expect("in");
    let by = test.fleet.by_session_secret(signed_in.secret.expose(), FROM).expect("a session");
    let mut stream = test.fleet.feed().subscribe(&by.token, None).expect("a place");
    {
        let mut sessions = locked(&test.fleet.state.people.sessions);
        let ended = sessions.expire(now_ms() + IDLE_MS + 1_000);
        assert_eq!(ended, std::slice::from_ref(&by.token));
        test.fleet.forget_sessions(&ended);
    }
    test.fleet.feed().cut(&by.token);
    assert!(!test.is_in(&signed_in));
    assert!(block_on(stream.next()).is_none());
}

#[test]
fn a_store_that_fails_lets_nobody_in_and_keeps_nobody_in() {
    let test = Test::new();
    test.user("ada", "viewer");
    let ada = test.password("ada", PASSWORD).expect("in");
    test.store.fail_commits(1);
    assert!(matches!(test.token(ADMIN_TOKEN), Err(NotSignedIn::Refused(_))));
    test.store.fail_commits(0);
    let by = test.fleet.by_session_secret(ada.secret.expose(), FROM).expect("a session");
    test.store.fail_commits(2);
    let _ = block_on(test.fleet.sign_out(&by));
    assert!(!test.is_in(&ada));
}

#[test]
fn users_are_checked() {
    let test = Test::new();
    test.user("ada", "viewer");
    let make = |name: &str, role: &str, password: &str| {
        let new = NewUser { name: name.into(), role: role.into(), password: Password::new(password.into()) };
        block_on(test.fleet.make_user(&by(), new)).map(|_| ())
    };
    assert!(matches!(make("ada", "viewer", PASSWORD), Err(Refusal::Conflict(_))));
    for (name, role, password) in [("a b", "viewer", PASSWORD), ("bob", "root", PASSWORD), ("bob", "viewer", "short")] {
        assert!(matches!(make(name, role, password), Err(Refusal::Invalid(_))), "{name} {role}");
    }
    assert!(matches!(block_on(test.fleet.remove_user(&by(), "bob")), Err(Refusal::NotFound(_))));
    let users = test.fleet.users();
    assert_eq!((users.len(), users[0].name.as_str(), users[0].sessions), (1, "ada", 0));
}
