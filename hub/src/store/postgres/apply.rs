//! One batch as one transaction, in few round trips: every step is one statement over arrays.
//! Steps as in the other engine: keys, current versions, decisions, rows, audit.

use std::collections::{BTreeSet, HashMap};

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Connection, Row as _};

use super::rows::Rows;
use super::{once, registration};
use crate::store::StoreError;
use crate::store::effects::{Effects, Numbers, index_of, targets};
use crate::store::index::{Index, NO_CLINICAL_MS};
use crate::store::target::Target;
use crate::store::vocabulary::Vocabulary;
use crate::store::write::{Batch, Conflict, Decision, Method, Version, Write, Written, decide};

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
    key: i64,
    resource_type: i64,
    replaces: bool,
    version: Version,
    clinical_ms: i64,
    effects: Effects,
}

pub(super) async fn batch(
    pool: &PgPool,
    terms: &Vocabulary,
    batch: &Batch,
    now: i64,
) -> Result<Vec<Written>, Failure> {
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    isolate(&mut transaction, batch).await?;
    once::claim(&mut transaction, batch, now).await?;
    expect(&mut transaction, batch).await?;
    let mut keys = HashMap::new();
    let own = batch.writes.iter().map(own_target).collect();
    enter_keys(&mut transaction, terms, own, &mut keys).await?;
    let current = current(&mut transaction, batch, &keys).await?;
    let decided = decide_all(batch, &current, now)?;
    let indices = indices(batch, &current, &decided, terms);
    old_systems(&mut transaction, terms, &indices).await?;
    let referred = indices.iter().flat_map(|(old, new)| old.iter().chain(*new).flat_map(targets));
    enter_keys(&mut transaction, terms, referred.collect(), &mut keys).await?;
    let (steps, written) = steps(batch, decided, &current, &indices, &keys, terms);
    store(&mut transaction, &steps).await?;
    for step in &steps {
        registration::note(&mut transaction, step.key, &step.effects).await?;
    }
    once::keep(&mut transaction, batch, &written).await?;
    audit(&mut transaction, batch, &written, now).await?;
    transaction.commit().await?;
    Ok(written)
}

/// A batch that rests on something is serialisable: of two that rest on the same, or each on what the
/// other changes, one is run again.
async fn isolate(connection: &mut PgConnection, batch: &Batch) -> Result<(), Failure> {
    if !batch.expected.is_empty() {
        sqlx::query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE").execute(connection).await?;
    }
    Ok(())
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

/// Finds or enters the directory keys of `targets`, always in the same order.
async fn enter_keys(
    connection: &mut PgConnection,
    terms: &Vocabulary,
    targets: BTreeSet<Target>,
    keys: &mut HashMap<Target, i64>,
) -> Result<(), Failure> {
    let wanted: Vec<Target> = targets.into_iter().filter(|t| !keys.contains_key(t)).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let number = |target: &Target| target.space.number(|t| terms.resource_type(t));
    let types: Vec<i64> = wanted.iter().map(number).collect();
    let ids: Vec<&str> = wanted.iter().map(|target| target.id.as_str()).collect();
    sqlx::query(
        "INSERT INTO directory (type, id) SELECT w.type, w.id \
         FROM unnest($1::bigint[], $2::text[]) AS w (type, id) WHERE NOT EXISTS \
         (SELECT 1 FROM directory d WHERE d.type = w.type AND d.id = w.id) \
         ON CONFLICT (type, id) DO NOTHING",
    )
    .bind(&types)
    .bind(&ids)
    .execute(&mut *connection)
    .await?;
    let rows = sqlx::query(
        "SELECT d.type, d.id, d.key FROM unnest($1::bigint[], $2::text[]) AS w (type, id) \
         JOIN directory d ON d.type = w.type AND d.id = w.id",
    )
    .bind(&types)
    .bind(&ids)
    .fetch_all(&mut *connection)
    .await?;
    let found: HashMap<(i64, &str), i64> =
        rows.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect();
    for (target, number) in wanted.iter().zip(types) {
        let key = found.get(&(number, target.id.as_str())).copied().ok_or_else(|| {
            StoreError::Failed("a directory key that was entered is not there".into())
        })?;
        keys.insert(target.clone(), key);
    }
    Ok(())
}

/// Learns code systems of old versions that only another process has met so far.
async fn old_systems(
    connection: &mut PgConnection,
    terms: &Vocabulary,
    indices: &[(Option<Index>, Option<&Index>)],
) -> Result<(), Failure> {
    let tokens = indices.iter().filter_map(|(old, _)| old.as_ref()).flat_map(|old| &old.tokens);
    let unknown = terms.unknown(tokens.map(|token| token.system.as_str()));
    if !unknown.is_empty() {
        terms.learn(super::find_terms(connection, &unknown).await?);
    }
    Ok(())
}

/// Reads the current versions of what the batch writes. The directory's rows are locked first, in key
/// order and in a statement of their own: what is read after that is what no one else can change.
async fn current(
    connection: &mut PgConnection,
    batch: &Batch,
    keys: &HashMap<Target, i64>,
) -> Result<Vec<Option<Version>>, Failure> {
    let own: Vec<i64> = batch.writes.iter().map(|write| keys[&own_target(write)]).collect();
    sqlx::query("SELECT 1 FROM directory WHERE key = ANY($1) ORDER BY key FOR UPDATE")
        .bind(&own)
        .execute(&mut *connection)
        .await?;
    let rows =
        sqlx::query("SELECT version, updated, method, body, key FROM resource WHERE key = ANY($1)")
            .bind(&own)
            .fetch_all(connection)
            .await?;
    let mut found: HashMap<i64, Version> =
        rows.iter().map(|row| (row.get(4), super::version(row))).collect();
    Ok(own.iter().map(|key| found.remove(key)).collect())
}

fn decide_all(
    batch: &Batch,
    current: &[Option<Version>],
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

/// What each written resource was found by, and will be found by.
fn indices<'a>(
    batch: &'a Batch,
    current: &[Option<Version>],
    decided: &[Decision],
    terms: &Vocabulary,
) -> Vec<(Option<Index>, Option<&'a Index>)> {
    let writes = batch.writes.iter().zip(current).zip(decided);
    writes
        .map(|((write, current), decision)| match decision {
            Decision::Nothing => (None, None),
            Decision::Store(_) => (
                index_of(current.as_ref(), write.resource_type, &write.id, terms),
                write.action.content().map(|content| &content.index),
            ),
        })
        .collect()
}

fn steps(
    batch: &Batch,
    decided: Vec<Decision>,
    current: &[Option<Version>],
    indices: &[(Option<Index>, Option<&Index>)],
    keys: &HashMap<Target, i64>,
    terms: &Vocabulary,
) -> (Vec<Step>, Vec<Written>) {
    let none = HashMap::new();
    let numbers = Numbers { terms, new_systems: &none, keys };
    let (mut steps, mut written) = (Vec::new(), Vec::new());
    for (entry, decision) in decided.into_iter().enumerate() {
        let (write, before) = (&batch.writes[entry], current[entry].as_ref());
        let Decision::Store(version) = decision else {
            written.push(Written { version: before.cloned(), created: false, stored: false });
            continue;
        };
        let (old, new) = &indices[entry];
        let created = before.is_none_or(|version| version.method == Method::Delete);
        written.push(Written { version: Some(version.clone()), created, stored: true });
        steps.push(Step {
            key: keys[&own_target(write)],
            resource_type: terms.resource_type(write.resource_type),
            replaces: before.is_some(),
            version,
            clinical_ms: new.map_or(NO_CLINICAL_MS, |index| index.clinical_ms),
            effects: Effects::between(old.as_ref(), *new, &numbers),
        });
    }
    (steps, written)
}

async fn store(connection: &mut PgConnection, steps: &[Step]) -> Result<(), Failure> {
    let (replaced, new): (Vec<&Step>, Vec<&Step>) = steps.iter().partition(|s| s.replaces);
    if !replaced.is_empty() {
        let keys: Vec<i64> = replaced.iter().map(|step| step.key).collect();
        sqlx::query(
            "INSERT INTO history (key, type, version, updated, method, stamp, body) \
             SELECT key, type, version, updated, method, stamp, body FROM resource WHERE key = ANY($1)",
        )
        .bind(&keys)
        .execute(&mut *connection)
        .await?;
        let sql = "UPDATE resource r SET version = n.version, updated = n.updated, \
                   method = n.method, clinical_ms = n.clinical_ms, body = n.body, \
                   stamp = DEFAULT FROM unnest(\
                   $1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], \
                   $6::bigint[], $7::bytea[]) AS n (key, type, version, updated, method, \
                   clinical_ms, body) WHERE r.key = n.key";
        versions(connection, sql, &replaced).await?;
    }
    if !new.is_empty() {
        let sql = "INSERT INTO resource (key, type, version, updated, method, clinical_ms, body) \
                   SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], \
                   $5::bigint[], $6::bigint[], $7::bytea[])";
        versions(connection, sql, &new).await?;
    }
    let (mut gone, mut new) = (Rows::default(), Rows::default());
    for Step { key, resource_type, effects, .. } in steps {
        effects.rows_gone.iter().for_each(|row| gone.add(*key, *resource_type, row));
        effects.rows_new.iter().for_each(|row| new.add(*key, *resource_type, row));
    }
    gone.delete(connection).await?;
    new.insert(connection).await?;
    unique(connection, steps).await
}

/// Runs a statement over the new versions of these steps.
async fn versions(
    connection: &mut PgConnection,
    sql: &'static str,
    steps: &[&Step],
) -> Result<(), sqlx::Error> {
    let column = |value: fn(&Step) -> i64| steps.iter().map(|s| value(s)).collect::<Vec<i64>>();
    let bodies: Vec<Option<&[u8]>> = steps.iter().map(|s| s.version.body.as_deref()).collect();
    sqlx::query(sql)
        .bind(column(|s| s.key))
        .bind(column(|s| s.resource_type))
        .bind(column(|s| s.version.version))
        .bind(column(|s| s.version.updated))
        .bind(column(|s| s.version.method as i64))
        .bind(column(|s| s.clinical_ms))
        .bind(bodies)
        .execute(connection)
        .await?;
    Ok(())
}

/// Gives up and claims unique identifiers; waits for a concurrent claim to be decided.
async fn unique(connection: &mut PgConnection, steps: &[Step]) -> Result<(), Failure> {
    for step in steps {
        for gone in &step.effects.unique_gone {
            sqlx::query(
                "DELETE FROM unique_identifier \
                 WHERE type = $1 AND system = $2 AND value = $3 AND key = $4",
            )
            .bind(step.resource_type)
            .bind(gone.system)
            .bind(&gone.value)
            .bind(step.key)
            .execute(&mut *connection)
            .await?;
        }
    }
    for (entry, step) in steps.iter().enumerate() {
        for new in &step.effects.unique_new {
            let claimed = sqlx::query(
                "INSERT INTO unique_identifier (type, system, value, key) \
                 VALUES ($1, $2, $3, $4) ON CONFLICT (type, system, value) DO NOTHING",
            )
            .bind(step.resource_type)
            .bind(new.system)
            .bind(&new.value)
            .bind(step.key)
            .execute(&mut *connection)
            .await?;
            if claimed.rows_affected() == 0 {
                let holder: Option<String> = sqlx::query_scalar(
                    "SELECT d.id FROM unique_identifier u JOIN directory d ON d.key = u.key \
                     WHERE u.type = $1 AND u.system = $2 AND u.value = $3",
                )
                .bind(step.resource_type)
                .bind(new.system)
                .bind(&new.value)
                .fetch_optional(&mut *connection)
                .await?;
                let Some(holder) = holder else {
                    return Err(Failure::Collision("a holder let go meanwhile".into()));
                };
                let conflict = Conflict::DuplicateIdentifier { holder };
                return Err(StoreError::Conflict { entry, conflict }.into());
            }
        }
    }
    Ok(())
}

async fn audit(
    connection: &mut PgConnection,
    batch: &Batch,
    written: &[Written],
    now: i64,
) -> Result<(), Failure> {
    let mut entry = batch.audit.clone();
    for (Write { resource_type, id, .. }, result) in batch.writes.iter().zip(written) {
        let version = result.version.as_ref().map_or(0, |version| version.version);
        entry.entity.push(format!("{resource_type}/{id}/_history/{version}"));
    }
    let entry = serde_json::to_string(&entry).map_err(|e| StoreError::Failed(e.to_string()))?;
    sqlx::query("INSERT INTO audit (recorded, entry) VALUES ($1, $2)")
        .bind(now)
        .bind(entry)
        .execute(connection)
        .await?;
    Ok(())
}
