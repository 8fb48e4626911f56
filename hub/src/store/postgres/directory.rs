//! Keys of everything that a batch mentions.

use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::apply::Failure;
use super::rebuild;
use crate::store::StoreError;
use crate::store::generation::Standing;
use crate::store::target::Target;
use crate::store::vocabulary::Vocabulary;

/// Finds what is known and enters what is not; in an order of its own, so that two batches that enter
/// the same never wait for each other. Where the index is comes along.
const ENTER: &str = "\
    WITH wanted AS (SELECT * FROM unnest($1::bigint[], $2::text[]) AS w (type, id)), \
    known AS (SELECT d.key, d.type, d.id FROM wanted w \
        JOIN directory d ON d.type = w.type AND d.id = w.id), \
    entered AS (INSERT INTO directory (type, id) SELECT w.type, w.id FROM wanted w \
        WHERE NOT EXISTS (SELECT 1 FROM known k WHERE k.type = w.type AND k.id = w.id) \
        ORDER BY w.type, w.id ON CONFLICT (type, id) DO NOTHING RETURNING key, type, id) \
    SELECT k.key, k.type, k.id, false, s.generation, s.cursor, s.last FROM known k, index_state s \
    UNION ALL \
    SELECT e.key, e.type, e.id, true, s.generation, s.cursor, s.last FROM entered e, index_state s";

/// Finds what another entered while [`ENTER`] waited for it.
const FIND: &str = "\
    SELECT d.key, d.type, d.id, false, s.generation, s.cursor, s.last \
    FROM unnest($1::bigint[], $2::text[]) AS w (type, id) \
    JOIN directory d ON d.type = w.type AND d.id = w.id CROSS JOIN index_state s";

/// The directory as far as a batch has met it.
#[derive(Default)]
pub(super) struct Directory {
    keys: HashMap<Target, i64>,
    entered: HashSet<i64>,
    standing: Option<Standing>,
}

impl Directory {
    pub(super) fn keys(&self) -> &HashMap<Target, i64> {
        &self.keys
    }

    /// Where the index is, if anything was looked up.
    pub(super) fn standing(&self) -> Option<Standing> {
        self.standing
    }

    /// Whether a key was entered by the batch itself: no one else can have met it.
    pub(super) fn is_new(&self, key: i64) -> bool {
        self.entered.contains(&key)
    }

    /// Finds or enters the keys of `targets`.
    pub(super) async fn enter(
        &mut self,
        connection: &mut PgConnection,
        terms: &Vocabulary,
        targets: BTreeSet<Target>,
    ) -> Result<(), Failure> {
        for statement in [ENTER, FIND] {
            let wanted: Vec<&Target> =
                targets.iter().filter(|target| !self.keys.contains_key(*target)).collect();
            if wanted.is_empty() {
                return Ok(());
            }
            self.look_up(connection, terms, &wanted, statement).await?;
        }
        if targets.iter().all(|target| self.keys.contains_key(target)) {
            return Ok(());
        }
        Err(StoreError::Failed("a directory key that was entered is not there".into()).into())
    }

    async fn look_up(
        &mut self,
        connection: &mut PgConnection,
        terms: &Vocabulary,
        wanted: &[&Target],
        statement: &'static str,
    ) -> Result<(), sqlx::Error> {
        let number = |target: &Target| target.space.number(|t| terms.resource_type(t));
        let types: Vec<i64> = wanted.iter().map(|target| number(target)).collect();
        let ids: Vec<&str> = wanted.iter().map(|target| target.id.as_str()).collect();
        let rows = sqlx::query(statement).bind(&types).bind(&ids).fetch_all(connection).await?;
        self.standing = rows.first().map(|row| rebuild::read(row, 4)).or(self.standing);
        let found: HashMap<(i64, &str), (i64, bool)> =
            rows.iter().map(|row| ((row.get(1), row.get(2)), (row.get(0), row.get(3)))).collect();
        for (target, number) in wanted.iter().zip(types) {
            if let Some((key, entered)) = found.get(&(number, target.id.as_str())) {
                self.keys.insert((*target).clone(), *key);
                self.entered.extend(entered.then_some(*key));
            }
        }
        Ok(())
    }
}
