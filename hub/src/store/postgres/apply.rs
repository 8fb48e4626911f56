//! One batch as one transaction, in few round trips: every step is one statement over arrays.
//! Steps as in the other engine: keys, current versions, decisions, rows, audit.
//!
//! | statement | when |
//! |---|---|
//! | `BEGIN`, `COMMIT` | always |
//! | [`Directory::enter`] | always: every key that the new versions mention |
//! | [`current`] | unless all resources are new; locks what it reads |
//! | [`Directory::enter`] | if a replaced version mentions what no new one does |
//! | [`Rows::replace`] | if a version is replaced |
//! | [`Rows::add`] | always: resources, index rows, claims, registrations, audit |
//!
//! Others come with what they are for: an expectation, a kept answer, a refused claim.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::postgres::{PgConnection, PgPool, PgRow};
use sqlx::{Connection, Postgres, Row as _, Transaction};

use super::audit::Lent;
use super::directory::Directory;
use super::rows::{Owner, Rows};
use super::{once, policy};
use crate::audit::chain::Link;
use crate::store::StoreError;
use crate::store::effects::{Effects, Numbers, index_of, index_to_be, targets};
use crate::store::index::{Index, NO_CLINICAL_MS};
use crate::store::target::Target;
use crate::store::unique::UniqueIdentifier;
use crate::store::vocabulary::Vocabulary;
use crate::store::write::{
    Action, Batch, Conflict, Decision, Held, Method, Write, Written, decide,
};

/// Why a transaction did not commit.
pub(super) enum Failure {
    /// It collided with another: run it again.
    Collision(String),
    /// It will not do better the next time.
    Store(StoreError),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let code =
            error.as_database_error().and_then(|e| e.code().map(std::borrow::Cow::into_owned));
        match code.as_deref() {
            // Serialisation failure, deadlock, unique violation (two creates of one key).
            Some("40001" | "40P01" | "23505") => Self::Collision(error.to_string()),
            // Ended while it waited for others, and rolled back: a COMMIT is never ended so.
            Some("57014") => Self::Store(StoreError::Overloaded),
            _ => Self::Store(error.into()),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A write whose decision is made.
struct Step {
    entry: usize,
    owner: Owner,
    replaces: bool,
    held: Held,
    effects: Effects,
}

/// A unique identifier that the write `entry` claims for its resource.
struct Claim {
    entry: usize,
    owner: Owner,
    identifier: UniqueIdentifier,
}

pub(super) async fn batch(
    pool: &PgPool,
    terms: &Vocabulary,
    batch: &Batch,
    lane: &mut Lent<'_>,
    now: i64,
) -> Result<Vec<Written>, Failure> {
    let mut connection = pool.acquire().await?;
    let (result, begun) = match connection.begin_with(begin(batch)).await {
        Ok(transaction) => (transact(transaction, terms, batch, lane, now).await, true),
        Err(error) => (Err(error.into()), false),
    };
    if !begun || matches!(result, Err(Failure::Store(StoreError::Unavailable(_)))) {
        // The next connection may reach another server: this one may have become a standby. Or it is
        // in a transaction that failed before it was ours to end.
        connection.close_on_drop();
    }
    result
}

async fn transact(
    mut transaction: Transaction<'_, Postgres>,
    terms: &Vocabulary,
    batch: &Batch,
    lane: &mut Lent<'_>,
    now: i64,
) -> Result<Vec<Written>, Failure> {
    once::claim(&mut transaction, batch, now).await?;
    expect(&mut transaction, batch).await?;
    let mut directory = Directory::default();
    directory.enter(&mut transaction, terms, mentioned(batch)).await?;
    let standing = directory.standing().ok_or_else(|| StoreError::Failed("no write".into()))?;
    standing.takes(batch, terms)?;
    let current = current(&mut transaction, batch, &directory).await?;
    let decided = decide_all(batch, &current, now)?;
    let indices = indices(batch, &current, &decided, terms);
    old_systems(&mut transaction, terms, &indices).await?;
    let replaced = indices.iter().filter_map(|(old, _)| old.as_ref()).flat_map(targets);
    directory.enter(&mut transaction, terms, replaced.collect()).await?;
    let (mut steps, written) = steps(batch, decided, &current, &indices, directory.keys(), terms);
    for step in steps.iter_mut().filter(|step| !standing.holds(step.owner.key)) {
        step.effects = std::mem::take(&mut step.effects).outside_the_index();
    }
    let link = lane.take()?.link(now, audit(batch, &written)?);
    let tip = link.tip;
    store(&mut transaction, steps, link).await?;
    erase(&mut transaction, batch, &directory).await?;
    once::keep(&mut transaction, batch, &written).await?;
    transaction.commit().await?;
    lane.keep(tip);
    Ok(written)
}

/// A batch that rests on something is serialisable: of two that rest on the same, or each on what the
/// other changes, one is run again. Else each statement sees what was committed before it. The lock
/// is taken before anything is seen: see [`super::rebuild`].
fn begin(batch: &Batch) -> &'static str {
    match batch.expected.as_slice() {
        [] => "BEGIN ISOLATION LEVEL READ COMMITTED; LOCK TABLE index_state IN ROW SHARE MODE",
        _ => "BEGIN ISOLATION LEVEL SERIALIZABLE; LOCK TABLE index_state IN ROW SHARE MODE",
    }
}

/// Looks again at what the batch rests on.
async fn expect(connection: &mut PgConnection, batch: &Batch) -> Result<(), Failure> {
    for expected in &batch.expected {
        let rows = super::statement(&expected.query).fetch_all(&mut *connection).await?;
        let keys: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        if !expected.holds(&keys) {
            return Err(StoreError::Moved.into());
        }
    }
    Ok(())
}

fn own_target(write: &Write) -> Target {
    Target::resource(write.resource_type, &write.id)
}

/// What the batch writes, and all that the new versions refer to.
fn mentioned(batch: &Batch) -> BTreeSet<Target> {
    let contents = batch.writes.iter().filter_map(|write| write.action.content());
    let referred = contents.flat_map(|content| targets(&content.index));
    batch.writes.iter().map(own_target).chain(referred).collect()
}

/// Learns code systems of old versions that only another process has met so far.
async fn old_systems(
    connection: &mut PgConnection,
    terms: &Vocabulary,
    indices: &[Indices<'_>],
) -> Result<(), Failure> {
    let tokens = indices.iter().filter_map(|(old, _)| old.as_ref()).flat_map(|old| &old.tokens);
    let unknown = terms.unknown(tokens.map(|token| token.system.as_str()));
    if !unknown.is_empty() {
        terms.learn(super::find_terms(connection, &unknown).await?);
    }
    Ok(())
}

/// Reads and locks the current versions of what the batch writes, in key order. A row that had to be
/// waited for is read as it was left. What has no row yet cannot be locked: of two that create it, one
/// collides at its key.
async fn current(
    connection: &mut PgConnection,
    batch: &Batch,
    directory: &Directory,
) -> Result<Vec<Option<Held>>, Failure> {
    let key = |write: &Write| directory.keys()[&own_target(write)];
    let own: Vec<i64> = batch.writes.iter().map(key).collect();
    let old: Vec<i64> = own.iter().copied().filter(|key| !directory.is_new(*key)).collect();
    if old.is_empty() {
        return Ok(vec![None; own.len()]);
    }
    let rows = sqlx::query(
        "SELECT version, updated, method, body, custodian, key FROM resource WHERE key = ANY($1) \
         ORDER BY key FOR UPDATE",
    )
    .bind(&old)
    .fetch_all(connection)
    .await?;
    let mut found: HashMap<i64, Held> =
        rows.iter().map(|row| (row.get(5), super::held(row))).collect();
    Ok(own.iter().map(|key| found.remove(key)).collect())
}

fn decide_all(
    batch: &Batch,
    current: &[Option<Held>],
    now: i64,
) -> Result<Vec<Decision>, StoreError> {
    let writes = batch.writes.iter().zip(current).enumerate();
    writes
        .map(|(entry, (write, current))| {
            decide(write, current.as_ref(), now)
                .map_err(|conflict| StoreError::Conflict { entry, conflict })
        })
        .collect()
}

/// What a resource was found by, and will be found by.
type Indices<'a> = (Option<Index>, Option<Cow<'a, Index>>);

fn indices<'a>(
    batch: &'a Batch,
    current: &[Option<Held>],
    decided: &[Decision],
    terms: &Vocabulary,
) -> Vec<Indices<'a>> {
    let writes = batch.writes.iter().zip(current).zip(decided);
    writes
        .map(|((write, current), decision)| match decision {
            Decision::Nothing => (None, None),
            Decision::Store(held) => {
                let current = current.as_ref().map(|held| &held.version);
                let old = index_of(current, write.resource_type, &write.id, terms);
                (old, index_to_be(write, held, terms))
            }
        })
        .collect()
}

fn steps(
    batch: &Batch,
    decided: Vec<Decision>,
    current: &[Option<Held>],
    indices: &[Indices<'_>],
    keys: &HashMap<Target, i64>,
    terms: &Vocabulary,
) -> (Vec<Step>, Vec<Written>) {
    let none = HashMap::new();
    let numbers = Numbers { terms, new_systems: &none, keys };
    let (mut steps, mut written) = (Vec::new(), Vec::new());
    for (entry, decision) in decided.into_iter().enumerate() {
        let write = &batch.writes[entry];
        let before = current[entry].as_ref().map(|held| &held.version);
        let Decision::Store(held) = decision else {
            written.push(Written { version: before.cloned(), created: false, stored: false });
            continue;
        };
        let (old, new) = &indices[entry];
        let (new, version) = (new.as_deref(), Some(held.version.clone()));
        let created = before.is_none_or(|version| version.method == Method::Delete);
        written.push(Written { version, created, stored: true });
        let owner = Owner {
            key: keys[&own_target(write)],
            resource_type: terms.resource_type(write.resource_type),
            clinical_ms: new.map_or(NO_CLINICAL_MS, |index| index.clinical_ms),
        };
        let effects = Effects::between(old.as_ref(), new, &numbers);
        steps.push(Step { entry, owner, replaces: before.is_some(), held, effects });
    }
    (steps, written)
}

/// Stores what was decided. What is given up is so before anything is claimed: an identifier can pass
/// from one resource to another within a batch.
async fn store(
    connection: &mut PgConnection,
    steps: Vec<Step>,
    audit: Link,
) -> Result<(), Failure> {
    let now = audit.recorded;
    let (mut old, mut new, mut claims) = (Rows::default(), Rows::default(), Vec::new());
    let mut policies = Vec::new();
    let replaces = steps.iter().any(|step| step.replaces);
    for Step { entry, owner, replaces, held, effects } in steps {
        if replaces { &mut old } else { &mut new }.resource(owner, &held);
        let Effects { rows_new, rows_gone, unique_new, unique_gone, policy } = effects;
        policies.push((owner.key, held.version.version, policy));
        for row in rows_gone {
            old.index(owner, row);
        }
        for row in rows_new {
            new.index(owner, row);
        }
        for identifier in unique_gone {
            old.unique(owner, identifier);
        }
        for identifier in unique_new {
            new.unique(owner, identifier.clone());
            claims.push(Claim { entry, owner, identifier });
        }
    }
    if replaces {
        old.replace(connection, now).await?;
    }
    for (key, version, rows) in policies {
        policy::store(connection, key, version, &rows).await?;
    }
    let claimed = new.add(connection, now, Some(audit)).await?;
    let claimed: HashSet<_> = claimed.iter().map(claimed_by).collect();
    let is_refused = |Claim { owner, identifier, .. }: &&Claim| {
        !claimed.contains(&(identifier.system, identifier.value.as_str(), owner.key))
    };
    match claims.iter().find(is_refused) {
        Some(claim) => Err(refused(connection, claim).await?),
        None => Ok(()),
    }
}

/// Takes the content of earlier versions away: each is as a deletion now.
async fn erase(
    connection: &mut PgConnection,
    batch: &Batch,
    directory: &Directory,
) -> Result<(), Failure> {
    let erased = batch.writes.iter().filter(|write| matches!(write.action, Action::Erase));
    let keys: Vec<i64> = erased.map(|write| directory.keys()[&own_target(write)]).collect();
    if !keys.is_empty() {
        let sql = "UPDATE history SET body = NULL, method = $2 WHERE key = ANY($1)";
        sqlx::query(sql).bind(keys).bind(Method::Delete as i64).execute(connection).await?;
    }
    Ok(())
}

fn claimed_by(row: &PgRow) -> (&str, &str, i64) {
    (row.get(0), row.get(1), row.get(2))
}

/// Names who holds what could not be claimed.
async fn refused(
    connection: &mut PgConnection,
    Claim { entry, owner, identifier }: &Claim,
) -> Result<Failure, Failure> {
    let holder: Option<String> = sqlx::query_scalar(
        "SELECT d.id FROM unique_identifier u JOIN directory d ON d.key = u.key \
         WHERE u.type = $1 AND u.system = $2 AND u.value = $3",
    )
    .bind(owner.resource_type)
    .bind(identifier.system)
    .bind(&identifier.value)
    .fetch_optional(connection)
    .await?;
    let Some(holder) = holder else {
        return Ok(Failure::Collision("a holder let go meanwhile".into()));
    };
    let conflict = Conflict::DuplicateIdentifier { holder };
    Ok(StoreError::Conflict { entry: *entry, conflict }.into())
}

/// The audit entry, with the versions written.
fn audit(batch: &Batch, written: &[Written]) -> Result<String, StoreError> {
    let mut entry = batch.audit.clone();
    for (Write { resource_type, id, .. }, result) in batch.writes.iter().zip(written) {
        let version = result.version.as_ref().map_or(0, |version| version.version);
        entry.entity.push(format!("{resource_type}/{id}/_history/{version}"));
    }
    serde_json::to_string(&entry).map_err(|error| StoreError::Failed(error.to_string()))
}
