//! One batch on an open transaction. Steps as in the other engine: keys, current versions,
//! decisions, rows, audit.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::audit::End;
use super::{once, policy};
use crate::store::StoreError;
use crate::store::effects::{Effects, Numbers, Row, index_of, index_to_be, targets};
use crate::store::generation::Standing;
use crate::store::index::NO_CLINICAL_MS;
use crate::store::target::Target;
use crate::store::vocabulary::Vocabulary;
use crate::store::write::{
    Action, Batch, Conflict, Decision, Held, Method, Write, Written, decide,
};

/// When a batch has its turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    /// Microseconds since 1970.
    pub now: i64,
    /// The number of the commit.
    pub stamp: i64,
    /// Where the index is.
    pub standing: Standing,
}

/// A row's resource.
#[derive(Clone, Copy)]
pub(super) struct Owner {
    pub key: i64,
    pub resource_type: i64,
    pub clinical_ms: i64,
}

pub(super) fn batch(
    connection: &Connection,
    end: &End,
    terms: &Vocabulary,
    new_systems: &HashMap<String, i64>,
    batch: &Batch,
    turn: Turn,
) -> Result<Vec<Written>, StoreError> {
    turn.standing.takes(batch, terms)?;
    once::claim(connection, batch, turn.now)?;
    for expected in &batch.expected {
        if !expected.holds(&super::keys(connection, &expected.query)?) {
            return Err(StoreError::Moved);
        }
    }
    let mut apply = Apply::new(connection, terms, new_systems, turn);
    let mut written = Vec::with_capacity(batch.writes.len());
    let mut audit = batch.audit.clone();
    for (entry, write) in batch.writes.iter().enumerate() {
        let result = apply.write(entry, write)?;
        let version = result.version.as_ref().map_or(0, |version| version.version);
        audit.entity.push(format!("{}/{}/_history/{version}", write.resource_type, write.id));
        written.push(result);
    }
    apply.claim_all()?;
    once::keep(connection, batch, &written)?;
    let entry = serde_json::to_string(&audit).map_err(|e| StoreError::Failed(e.to_string()))?;
    super::audit::append(connection, end, turn.now, entry)?;
    Ok(written)
}

pub(super) struct Apply<'a> {
    connection: &'a Connection,
    terms: &'a Vocabulary,
    new_systems: &'a HashMap<String, i64>,
    turn: Turn,
    keys: HashMap<Target, i64>,
    /// What each write claims and gives up: done when all are stored, so that an identifier can
    /// pass from one resource to another within a batch.
    claims: Vec<(usize, Owner, Effects)>,
}

impl<'a> Apply<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        terms: &'a Vocabulary,
        new_systems: &'a HashMap<String, i64>,
        turn: Turn,
    ) -> Self {
        let (keys, claims) = (HashMap::new(), Vec::new());
        Self { connection, terms, new_systems, turn, keys, claims }
    }

    /// Keys of what was entered or found.
    pub(super) fn keys(&self) -> &HashMap<Target, i64> {
        &self.keys
    }

    /// Sees to it that all targets have keys.
    pub(super) fn enter_all(
        &mut self,
        targets: impl Iterator<Item = Target>,
    ) -> Result<(), StoreError> {
        for target in targets {
            self.key(target)?;
        }
        Ok(())
    }

    fn write(&mut self, entry: usize, write: &Write) -> Result<Written, StoreError> {
        // Decided before anything is changed: a refusal then has nothing to undo.
        let own = Target::resource(write.resource_type, &write.id);
        let known = self.found(&own)?;
        let current = known.map(|key| self.current(key)).transpose()?.flatten();
        let refused = |conflict| StoreError::Conflict { entry, conflict };
        let decision = decide(write, current.as_ref(), self.turn.now).map_err(refused)?;
        let current = current.map(|held| held.version);
        let created = current.as_ref().is_none_or(|version| version.method == Method::Delete);
        let Decision::Store(held) = decision else {
            return Ok(Written { version: current, created: false, stored: false });
        };
        let key = known.map_or_else(|| self.enter(own), Ok)?;
        let old = index_of(current.as_ref(), write.resource_type, &write.id, self.terms);
        let new = index_to_be(write, &held, self.terms);
        let new = new.as_deref();
        self.enter_all(old.iter().chain(new).flat_map(targets))?;
        let Self { terms, new_systems, keys, .. } = self;
        let effects = Effects::between(old.as_ref(), new, &Numbers { terms, new_systems, keys });
        let indexed = self.turn.standing.holds(key);
        let effects = if indexed { effects } else { effects.outside_the_index() };
        let clinical_ms = new.map_or(NO_CLINICAL_MS, |index| index.clinical_ms);
        let resource_type = self.terms.resource_type(write.resource_type);
        let owner = Owner { key, resource_type, clinical_ms };
        self.store(owner, &held, current.is_some())?;
        if matches!(write.action, Action::Erase) {
            self.erase(key)?;
        }
        self.rows(owner, &effects)?;
        policy::store(self.connection, key, held.version.version, &effects.policy)?;
        self.claims.push((entry, owner, effects));
        Ok(Written { version: Some(held.version), created, stored: true })
    }

    /// The directory key of a target, if it was ever mentioned.
    fn found(&mut self, target: &Target) -> Result<Option<i64>, StoreError> {
        if let Some(key) = self.keys.get(target) {
            return Ok(Some(*key));
        }
        let space = target.space.number(|t| self.terms.resource_type(t));
        let select = "SELECT key FROM directory WHERE type = ?1 AND id = ?2";
        let found = self
            .connection
            .prepare_cached(select)?
            .query_row(params![space, target.id], |row| row.get(0))
            .optional()?;
        if let Some(key) = found {
            self.keys.insert(target.clone(), key);
        }
        Ok(found)
    }

    /// The directory key of a target; entered if it was never mentioned.
    fn key(&mut self, target: Target) -> Result<i64, StoreError> {
        match self.found(&target)? {
            Some(key) => Ok(key),
            None => self.enter(target),
        }
    }

    fn enter(&mut self, target: Target) -> Result<i64, StoreError> {
        let space = target.space.number(|t| self.terms.resource_type(t));
        self.connection
            .prepare_cached("INSERT INTO directory (type, id) VALUES (?1, ?2)")?
            .execute(params![space, target.id])?;
        let key = self.connection.last_insert_rowid();
        self.keys.insert(target, key);
        Ok(key)
    }

    fn current(&self, key: i64) -> Result<Option<Held>, StoreError> {
        let sql = "SELECT version, updated, method, body, custodian FROM resource WHERE key = ?1";
        Ok(self.connection.prepare_cached(sql)?.query_row([key], super::held).optional()?)
    }

    fn store(&self, owner: Owner, held: &Held, replaces: bool) -> Result<(), StoreError> {
        let Held { version, custodian } = held;
        if replaces {
            let sql = "INSERT INTO history \
                       (key, type, version, updated, method, stamp, body, custodian) \
                       SELECT key, type, version, updated, method, stamp, body, custodian \
                       FROM resource WHERE key = ?1";
            self.connection.prepare_cached(sql)?.execute([owner.key])?;
        }
        let sql = "INSERT INTO resource \
                   (key, type, version, updated, method, clinical_ms, stamp, body, custodian) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (key) DO UPDATE SET \
                   version = ?3, updated = ?4, method = ?5, clinical_ms = ?6, stamp = ?7, \
                   body = ?8, custodian = ?9";
        self.connection.prepare_cached(sql)?.execute(params![
            owner.key,
            owner.resource_type,
            version.version,
            version.updated,
            version.method as i64,
            owner.clinical_ms,
            self.turn.stamp,
            version.body.as_deref(),
            custodian.as_str(),
        ])?;
        Ok(())
    }

    /// Takes the content of earlier versions away: each is as a deletion now.
    fn erase(&self, key: i64) -> Result<(), StoreError> {
        let sql = "UPDATE history SET body = NULL, method = ?2 WHERE key = ?1";
        self.connection.prepare_cached(sql)?.execute(params![key, Method::Delete as i64])?;
        Ok(())
    }

    pub(super) fn rows(&self, owner: Owner, effects: &Effects) -> Result<(), StoreError> {
        for row in &effects.rows_gone {
            let (delete, _) = statements(row);
            self.row(delete, owner, row)?;
        }
        for row in &effects.rows_new {
            let (_, insert) = statements(row);
            self.row(insert, owner, row)?;
        }
        Ok(())
    }

    fn row(&self, sql: &str, owner: Owner, row: &Row) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let Owner { key, resource_type, .. } = owner;
        match row {
            Row::Compartment { patient, clinical_ms } => {
                statement.execute(params![patient, resource_type, clinical_ms, key])
            }
            Row::Token { parameter, code, clinical_ms, system } => {
                statement.execute(params![parameter, code, clinical_ms, key, system])
            }
            Row::PatientToken { patient, parameter, code, clinical_ms, system } => {
                statement.execute(params![patient, parameter, code, clinical_ms, key, system])
            }
            Row::Date { parameter, low, high } => {
                statement.execute(params![key, parameter, low, high])
            }
            Row::Number { parameter, unit, low, high } => {
                statement.execute(params![key, parameter, unit, low.0, high.0])
            }
            Row::Reference { parameter, target } => {
                statement.execute(params![parameter, target, key])
            }
        }?;
        Ok(())
    }

    fn claim_all(&self) -> Result<(), StoreError> {
        for (_, owner, effects) in &self.claims {
            self.give_up(*owner, effects)?;
        }
        for (entry, owner, effects) in &self.claims {
            if let Some(holder) = self.claim(*owner, effects)? {
                let (entry, conflict) = (*entry, Conflict::DuplicateIdentifier { holder });
                return Err(StoreError::Conflict { entry, conflict });
            }
        }
        for (_, owner, effects) in &self.claims {
            super::registration::note(self.connection, owner.key, effects, self.turn.now)?;
        }
        Ok(())
    }

    fn give_up(&self, owner: Owner, effects: &Effects) -> Result<(), StoreError> {
        let sql = "DELETE FROM unique_identifier \
                   WHERE type = ?1 AND system = ?2 AND value = ?3 AND key = ?4";
        for gone in &effects.unique_gone {
            let values = params![owner.resource_type, gone.system, gone.value, owner.key];
            self.connection.prepare_cached(sql)?.execute(values)?;
        }
        Ok(())
    }

    /// Claims unique identifiers; the id of a holder if one is taken.
    fn claim(&self, owner: Owner, effects: &Effects) -> Result<Option<String>, StoreError> {
        for new in &effects.unique_new {
            let identity = params![owner.resource_type, new.system, new.value];
            let sql = "SELECT d.id FROM unique_identifier u JOIN directory d ON d.key = u.key \
                       WHERE u.type = ?1 AND u.system = ?2 AND u.value = ?3";
            let taken = self.connection.prepare_cached(sql)?.query_row(identity, |row| row.get(0));
            if let Some(holder) = taken.optional()? {
                return Ok(Some(holder));
            }
            let sql = "INSERT INTO unique_identifier (type, system, value, key) \
                       VALUES (?1, ?2, ?3, ?4)";
            let values = params![owner.resource_type, new.system, new.value, owner.key];
            self.connection.prepare_cached(sql)?.execute(values)?;
        }
        Ok(None)
    }
}

/// The statements that take a row away and that add it.
fn statements(row: &Row) -> (&'static str, &'static str) {
    match row {
        Row::Compartment { .. } => (
            "DELETE FROM compartment \
             WHERE patient = ?1 AND type = ?2 AND clinical_ms = ?3 AND key = ?4",
            "INSERT INTO compartment (patient, type, clinical_ms, key) VALUES (?1, ?2, ?3, ?4)",
        ),
        Row::Token { .. } => (
            "DELETE FROM token WHERE param = ?1 AND code = ?2 AND clinical_ms = ?3 AND key = ?4 \
             AND system = ?5",
            "INSERT INTO token (param, code, clinical_ms, key, system) VALUES (?1, ?2, ?3, ?4, ?5)",
        ),
        Row::PatientToken { .. } => (
            "DELETE FROM patient_token WHERE patient = ?1 AND param = ?2 AND code = ?3 \
             AND clinical_ms = ?4 AND key = ?5 AND system = ?6",
            "INSERT INTO patient_token (patient, param, code, clinical_ms, key, system) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        ),
        Row::Date { .. } => (
            "DELETE FROM date WHERE key = ?1 AND param = ?2 AND low = ?3 AND high = ?4",
            "INSERT INTO date (key, param, low, high) VALUES (?1, ?2, ?3, ?4)",
        ),
        Row::Number { .. } => (
            "DELETE FROM number WHERE key = ?1 AND param = ?2 AND unit = ?3 AND low = ?4 \
             AND high = ?5",
            "INSERT INTO number (key, param, unit, low, high) VALUES (?1, ?2, ?3, ?4, ?5)",
        ),
        Row::Reference { .. } => (
            "DELETE FROM reference WHERE param = ?1 AND target = ?2 AND key = ?3",
            "INSERT INTO reference (param, target, key) VALUES (?1, ?2, ?3)",
        ),
    }
}
