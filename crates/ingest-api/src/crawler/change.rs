//! Making and changing crawlers: one transaction each, with its version and its audit entry.

use std::collections::BTreeMap;

use chrono::Utc;
use contract::{
    RecordError, SystemId,
    crawler::{CrawlerSettings, SecretField},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sqlx::PgConnection;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::{
    check,
    fault::fault,
    new_secret::NewSecret,
    store::{self, Kept, SecretNote, Wanted},
};
use crate::{
    audit,
    auth::Caller,
    error::ApiError,
    secret::{self, Keyring, SealedSecret, SecretError, SecretPlace},
};

/// What a crawler is to be, as far as the caller says.
#[derive(Debug)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// The system that it fills.
    pub system_id: Option<SystemId>,
    /// May it run?
    pub enabled: bool,
    /// Its settings.
    pub settings: CrawlerSettings,
    /// The secrets that are set or cleared; others stay.
    pub secrets: Vec<(SecretField, NewSecret)>,
}

impl Change {
    /// Refuses what is impossible whatever was there before.
    pub fn check(&self, mut faults: Vec<RecordError>) -> Result<(), ApiError> {
        let name = self.name.trim();
        if !(1..=200).contains(&name.chars().count()) || name.contains(char::is_control) {
            faults.push(fault(
                "/name",
                "a crawler needs a name of 1 to 200 characters, none of them a control character",
            ));
        }
        faults.extend(check::faults(&self.settings));
        if faults.is_empty() {
            Ok(())
        } else {
            Err(ApiError::Invalid(faults))
        }
    }
}

/// Makes a crawler. One that lacks something is refused when it is to be enabled.
pub async fn create(
    connection: &mut PgConnection,
    keyring: &Keyring,
    caller: &Caller,
    change: &Change,
    action: &'static str,
) -> Result<Kept, ApiError> {
    let crawler_id = Uuid::now_v7();
    apply(
        connection, keyring, caller, crawler_id, None, change, action,
    )
    .await
}

/// Changes a crawler that is locked. What is the same already makes no version.
pub async fn update(
    connection: &mut PgConnection,
    keyring: &Keyring,
    caller: &Caller,
    before: &Kept,
    change: &Change,
) -> Result<Kept, ApiError> {
    apply(
        connection,
        keyring,
        caller,
        before.crawler_id,
        Some(before),
        change,
        "crawler.update",
    )
    .await
}

async fn apply(
    connection: &mut PgConnection,
    keyring: &Keyring,
    caller: &Caller,
    crawler_id: Uuid,
    before: Option<&Kept>,
    change: &Change,
    action: &'static str,
) -> Result<Kept, ApiError> {
    let version = before.map_or(1, |before| before.version + 1);
    let Secrets {
        notes,
        sealed,
        changed,
    } = secrets(connection, keyring, caller, crawler_id, before, change).await?;
    if let Some(fault) = check::missing(&change.settings, |field| notes.contains_key(&field))
        && change.enabled
    {
        return Err(ApiError::Invalid(vec![fault]));
    }
    let name = change.name.trim();
    if let Some(before) = before
        && changed.is_empty()
        && before.name == name
        && before.system_id == change.system_id
        && before.enabled == change.enabled
        && before.settings == change.settings
    {
        return Ok(before.clone());
    }
    let wanted = Wanted {
        crawler_id,
        version,
        system_id: change.system_id,
        name,
        enabled: change.enabled,
        settings: &change.settings,
        secrets: &notes,
        changed: &changed,
    };
    let kept = store::keep(connection, caller, &wanted).await?;
    let names: Vec<&str> = changed.iter().map(|field| field.wire_name()).collect();
    secret::delete(connection, crawler_id, &names).await?;
    for (field, sealed) in sealed {
        let place = place(caller, crawler_id, field, version);
        secret::put(connection, place, &sealed).await?;
    }
    let detail = detail(before, &kept, &changed);
    audit::record(connection, caller, action, &crawler_id.to_string(), detail).await?;
    Ok(kept)
}

struct Secrets {
    notes: BTreeMap<SecretField, SecretNote>,
    sealed: Vec<(SecretField, SealedSecret)>,
    changed: Vec<SecretField>,
}

/// The secrets after a change. Stored ones do not follow a change of the address that they are sent to.
async fn secrets(
    connection: &mut PgConnection,
    keyring: &Keyring,
    caller: &Caller,
    crawler_id: Uuid,
    before: Option<&Kept>,
    change: &Change,
) -> Result<Secrets, ApiError> {
    let version = before.map_or(1, |before| before.version + 1);
    let mut all = Secrets {
        notes: before.map_or_else(BTreeMap::new, |before| before.secrets.clone()),
        sealed: Vec::new(),
        changed: Vec::new(),
    };
    if let Some(before) = before {
        stay_where_they_go(before, change)?;
    }
    for (field, new) in &change.secrets {
        let known = all.notes.get(field);
        let note = match new {
            NewSecret::Clear if known.is_none() => continue,
            NewSecret::Clear => None,
            NewSecret::Reference(reference)
                if known.is_some_and(|note| note.reference.as_ref() == Some(reference)) =>
            {
                continue;
            }
            NewSecret::Reference(reference) => Some(SecretNote {
                version: None,
                fingerprint: None,
                reference: Some(reference.clone()),
                set_at: Utc::now(),
            }),
            NewSecret::Value(text) => {
                let known = known.and_then(|note| note.version);
                let known = known.map(|version| place(caller, crawler_id, *field, version));
                if let Some(known) = known
                    && is_same(connection, keyring, known, text.expose()).await?
                {
                    continue;
                }
                let place = place(caller, crawler_id, *field, version);
                let sealed = keyring.seal(place, &text.0).await;
                let (sealed, fingerprint) = sealed.map_err(|error| not_sealed(*field, &error))?;
                all.sealed.push((*field, sealed));
                Some(SecretNote {
                    version: Some(version),
                    fingerprint: Some(fingerprint),
                    reference: None,
                    set_at: Utc::now(),
                })
            }
        };
        all.changed.push(*field);
        match note {
            Some(note) => all.notes.insert(*field, note),
            None => all.notes.remove(field),
        };
    }
    Ok(all)
}

fn stay_where_they_go(before: &Kept, change: &Change) -> Result<(), ApiError> {
    if check::destination(&before.settings) == check::destination(&change.settings) {
        return Ok(());
    }
    let faults: Vec<RecordError> = before
        .secrets
        .iter()
        .filter(|(_, note)| note.reference.is_none())
        .filter(|(field, _)| !change.secrets.iter().any(|(given, _)| given == *field))
        .map(|(field, _)| {
            fault(
                format!("/secrets/{}", field.wire_name()),
                "the addresses that the crawler calls change: give the secret again, so that nobody can have a stored one \
                 sent elsewhere",
            )
        })
        .collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(ApiError::Invalid(faults))
    }
}

fn place(
    caller: &Caller,
    crawler_id: Uuid,
    field: SecretField,
    version: i32,
) -> SecretPlace<'static> {
    SecretPlace {
        workspace_id: caller.workspace_id,
        crawler_id,
        field: field.wire_name(),
        version,
    }
}

/// Is this the secret that is stored already? One that does not open is not.
async fn is_same(
    connection: &mut PgConnection,
    keyring: &Keyring,
    place: SecretPlace<'_>,
    text: &str,
) -> Result<bool, ApiError> {
    let Some(sealed) = secret::get(connection, place).await? else {
        return Ok(false);
    };
    let known = keyring.open(place, &sealed).await;
    Ok(
        known
            .is_ok_and(|known| bool::from(known.expose_secret().as_bytes().ct_eq(text.as_bytes()))),
    )
}

fn not_sealed(field: SecretField, error: &SecretError) -> ApiError {
    match error {
        SecretError::NoKey => ApiError::Conflict {
            detail: format!(
                "the secret '{}' cannot be kept: {error}; or give a reference (file:/path, env:NAME) that the worker resolves",
                field.wire_name()
            ),
            sync_id: None,
        },
        other => ApiError::internal(other.clone()),
    }
}

/// What the audit log tells of a change: names of fields, and never the value of a secret.
fn detail(before: Option<&Kept>, after: &Kept, changed: &[SecretField]) -> Value {
    let (set, cleared): (Vec<SecretField>, Vec<SecretField>) =
        changed.iter().partition(|field| after.has(**field));
    let settings = before.map(|before| {
        let (old, new) = (json!(before.settings), json!(after.settings));
        let mut places = Vec::new();
        differences(&old, &new, "", &mut places);
        places
    });
    json!({
        "name": after.name,
        "version": after.version,
        "enabled": after.enabled,
        "systemId": after.system_id,
        "settingsChanged": settings,
        "secretsSet": set,
        "secretsCleared": cleared,
    })
}

fn differences(old: &Value, new: &Value, place: &str, into: &mut Vec<String>) {
    if old == new {
        return;
    }
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        into.push(place.to_owned());
        return;
    };
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let value = |fields: &serde_json::Map<String, Value>| {
            fields.get(name).cloned().unwrap_or(Value::Null)
        };
        differences(&value(old), &value(new), &format!("{place}/{name}"), into);
    }
}
