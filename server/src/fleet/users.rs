//! Users of the page: made, changed and removed by operators.

use super::sign_in::read_role;
use super::{By, Fleet, Refusal, State, locked};
use crate::access::password::Password;
use crate::access::users::check_name;
use crate::api::types;
use crate::store::{PasswordRow, SessionOrigin, UserRow, Write};
use crate::time::{format_ms, now_ms};

impl Fleet {
    /// Users, by name.
    pub fn users(&self) -> Vec<types::User> {
        let rows: Vec<UserRow> = locked(&self.state.people.users).list().cloned().collect();
        rows.iter().map(|row| self.describe_user(row)).collect()
    }

    fn describe_user(&self, row: &UserRow) -> types::User {
        let sessions = locked(&self.state.people.sessions).count(&SessionOrigin::User(row.name.clone()));
        types::User {
            name: row.name.clone(),
            role: row.role.clone(),
            created_at: format_ms(row.created_ms),
            password_set_at: format_ms(row.password_ms),
            sessions: u32::try_from(sessions).unwrap_or(u32::MAX),
        }
    }

    async fn keep_password(&self, password: Password) -> Result<PasswordRow, Refusal> {
        password.check()?;
        let _alone = self.state.people.looking.acquire().await;
        Ok(smol::unblock(move || password.keep()).await?)
    }

    /// Makes a user.
    pub async fn make_user(&self, by: &By, new: types::NewUser) -> Result<types::User, Refusal> {
        let role = read_role(&new.role)?;
        check_name(&new.name)?;
        let password = self.keep_password(new.password).await?;
        let registry = self.registry.lock_arc().await;
        let row = {
            let users = locked(&self.state.people.users);
            if users.get(&new.name).is_some() {
                let what = format!("there is a user {:?} already; change it with `muster user passwd`", new.name);
                return Err(Refusal::Conflict(what));
            }
            users.make(&new.name, role, password, now_ms())?
        };
        let made = row.clone();
        let writes = vec![Write::User(row.clone()), by.audit("user.make", &row.name, [("role", row.role.clone())])];
        self.keep(registry, writes, move |state| locked(&state.people.users).apply(made)).await?;
        Ok(self.describe_user(&row))
    }

    /// Changes a user's password or role. Its sessions end.
    pub async fn change_user(&self, by: &By, name: &str, change: types::ChangeUser) -> Result<types::User, Refusal> {
        let role = change.role.as_deref().map(read_role).transpose()?;
        let password = match change.password {
            Some(password) => Some(self.keep_password(password).await?),
            None => None,
        };
        let registry = self.registry.lock_arc().await;
        let mut row = self.find_user(name)?;
        let mut details = Vec::new();
        if let Some(password) = password {
            (row.password, row.password_ms) = (password, now_ms());
            details.push(("password", "set".to_owned()));
        }
        if let Some(role) = role {
            row.role = role.as_str().to_owned();
            details.push(("role", row.role.clone()));
        }
        let made = row.clone();
        let writes = vec![Write::User(row.clone()), by.audit("user.change", name, details)];
        let origin = SessionOrigin::User(made.name.clone());
        let apply = move |state: &State| {
            state.end_links_of(&SessionOrigin::User(made.name.clone()));
            locked(&state.people.users).apply(made);
        };
        self.keep(registry, writes, apply).await?;
        self.end_sessions_of(&origin);
        Ok(self.describe_user(&row))
    }

    /// Removes a user. Its sessions end.
    pub async fn remove_user(&self, by: &By, name: &str) -> Result<(), Refusal> {
        let registry = self.registry.lock_arc().await;
        let gone = self.find_user(name)?.name;
        let writes = vec![Write::UserGone(gone.clone()), by.audit("user.remove", name, [])];
        let apply = move |state: &State| {
            state.end_links_of(&SessionOrigin::User(gone.clone()));
            locked(&state.people.users).remove(&gone);
        };
        self.keep(registry, writes, apply).await?;
        self.end_sessions_of(&SessionOrigin::User(name.to_owned()));
        Ok(())
    }

    fn find_user(&self, name: &str) -> Result<UserRow, Refusal> {
        let missing = || Refusal::NotFound(format!("no user has the name {name:?}; see `muster user ls`"));
        locked(&self.state.people.users).get(name).cloned().ok_or_else(missing)
    }
}
